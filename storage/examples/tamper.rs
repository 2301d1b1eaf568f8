//! Changes what a stopped node has stored, as a faulty disk or an operator with a tool would: for tests of nodes that
//! find out. `tamper DATA_DIR event POSITION` flips a bit of an event, `tamper DATA_DIR variable` forgets a variable.

use std::io;
use std::path::Path;

use rocksdb::{DB, IteratorMode, Options};

const EVENTS: &str = "events";
const VARIABLES: &str = "variables";

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [data, "event", position] => flip(&open(data)?, position),
        [data, "variable"] => forget(&open(data)?),
        _ => Err("usage: tamper DATA_DIR event POSITION | variable".into()),
    };
    done.map_err(io::Error::other)
}

/// The valid generation of a node's state.
fn open(data: &str) -> io::Result<DB> {
    let state = Path::new(data).join("state");
    let current: serde_json::Value =
        serde_json::from_slice(&std::fs::read(state.join("current.json"))?)?;
    let number = current["number"].as_u64().unwrap_or_default();
    let path = state.join(format!("{number:08}"));
    let options = Options::default();
    let columns = DB::list_cf(&options, &path).map_err(io::Error::other)?;
    DB::open_cf(&options, &path, columns).map_err(io::Error::other)
}

fn flip(db: &DB, position: &str) -> Result<(), String> {
    let position: u64 = position.parse().map_err(|_| "POSITION is no number")?;
    let column = db.cf_handle(EVENTS).ok_or("there are no events")?;
    let key = position.to_be_bytes();
    let value = db.get_cf(column, key).map_err(|error| error.to_string())?;
    let mut value = value.ok_or("the event is not there")?;
    if let Some(last) = value.last_mut() {
        *last ^= 1;
    }
    db.put_cf(column, key, value)
        .map_err(|error| error.to_string())
}

fn forget(db: &DB) -> Result<(), String> {
    let column = db.cf_handle(VARIABLES).ok_or("there are no variables")?;
    let first = db.iterator_cf(column, IteratorMode::Start).next();
    let (key, _) = first
        .ok_or("there are no variables")?
        .map_err(|error| error.to_string())?;
    db.delete_cf(column, key).map_err(|error| error.to_string())
}
