//! The id that follows one piece of work through all hops, from `x-snakepit-correlation-id` or, on calls of
//! tools, `correlation_id` in their metadata. Answers and errors carry it where a request did; calls of tools
//! that bring none get one.

use std::collections::BTreeMap;

use snakepit_proto::bridge::{ExecuteElixirToolRequest, ExecuteToolRequest};
use snakepit_proto::headers;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use super::Failure;

/// Longest correlation id, in bytes.
const CORRELATION_ID_BYTES_MAX: usize = 256;
/// Where a call of a tool has it.
const KEY: &str = "correlation_id";

/// A request that calls a tool.
pub(super) trait CallsTool {
    fn session_id(&self) -> &str;
    fn tool(&self) -> &str;
    fn metadata(&mut self) -> &mut BTreeMap<String, String>;
}

macro_rules! calls_tool {
    ($($request:ty),*) => {
        $(impl CallsTool for $request {
            fn session_id(&self) -> &str {
                &self.session_id
            }

            fn tool(&self) -> &str {
                &self.tool_name
            }

            fn metadata(&mut self) -> &mut BTreeMap<String, String> {
                &mut self.metadata
            }
        })*
    };
}

calls_tool!(ExecuteToolRequest, ExecuteElixirToolRequest);

/// The id that the headers bring; empty where they bring none.
pub(super) fn of_headers(metadata: &MetadataMap) -> Result<String, Failure> {
    let Some(value) = metadata.get(headers::CORRELATION_ID) else {
        return Ok(String::new());
    };
    let text = value.to_str().unwrap_or("\u{fffd}");
    check(headers::CORRELATION_ID, text)?;
    Ok(text.to_owned())
}

/// The id of a call of a tool: its own, else its headers', else a new one. It is in its metadata then.
pub(super) fn of_call(request: &mut impl CallsTool, of_headers: &str) -> Result<String, Failure> {
    let metadata = request.metadata();
    if let Some(own) = metadata.get(KEY).filter(|own| !own.is_empty()) {
        check("metadata correlation_id", own)?;
        return Ok(own.clone());
    }
    let id = if of_headers.is_empty() {
        uuid::Uuid::now_v7().to_string()
    } else {
        of_headers.to_owned()
    };
    metadata.insert(KEY.to_owned(), id.clone());
    Ok(id)
}

/// The header that tells an id to the caller.
pub(super) fn header(id: &str) -> Option<MetadataValue<Ascii>> {
    if id.is_empty() {
        return None;
    }
    id.parse().ok()
}

fn check(place: &str, id: &str) -> Result<(), Failure> {
    let is_printable = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if id.len() > CORRELATION_ID_BYTES_MAX {
        return Err(Failure::Invalid(format!(
            "{place} has {} bytes, the limit is {CORRELATION_ID_BYTES_MAX}; hint: shorten it",
            id.len()
        )));
    }
    if !id.bytes().all(is_printable) {
        return Err(Failure::Invalid(format!(
            "{place} is not printable ASCII; hint: encode it"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        own: Option<&str>,
        header: Option<&str>,
    ) -> Result<(String, ExecuteToolRequest), Failure> {
        let mut metadata = MetadataMap::new();
        if let Some(header) = header {
            metadata.insert(headers::CORRELATION_ID, header.parse().unwrap());
        }
        let mut request = ExecuteToolRequest::default();
        if let Some(own) = own {
            request.metadata.insert(KEY.to_owned(), own.to_owned());
        }
        let id = of_call(&mut request, &of_headers(&metadata)?)?;
        Ok((id, request))
    }

    #[test]
    fn the_calls_own_id_comes_first() {
        assert_eq!(of(Some("own"), Some("header")).unwrap().0, "own");
        assert_eq!(of(None, Some("header")).unwrap().0, "header");
        assert_eq!(of(Some(""), Some("header")).unwrap().0, "header");
        let (made, request) = of(None, None).unwrap();
        assert_eq!(made.len(), 36);
        assert_eq!(request.metadata[KEY], made);
        assert_eq!(header(&made).unwrap().to_str().unwrap(), made);
        assert!(header("").is_none());
    }

    #[test]
    fn ids_have_limits() {
        let longest = "x".repeat(256);
        assert_eq!(of(Some(&longest), None).unwrap().0, longest);
        assert!(of(Some(&format!("{longest}x")), None).is_err());
        assert!(of(None, Some(&format!("{longest}x"))).is_err());
        for bad in ["é", "a\nb", "\u{7f}"] {
            assert!(of(Some(bad), None).is_err(), "{bad:?}");
        }
        assert!(of(None, Some("é")).is_err());
    }
}
