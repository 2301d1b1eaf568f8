use std::collections::BTreeMap;
use std::sync::Arc;

use snakepit_machine::{Answer, Body, ImportSession, ImportedProgram, ImportedVariable};
use snakepit_proto::session::{ImportSessionRequest, ImportSessionResponse, SessionExport};
use tonic::Response;

use super::export_session::FORMAT;
use crate::services::bridge::initialize_session::{session_config, ttl_ms};
use crate::services::bridge::{misfit, set_variables};
use crate::services::seal::is_sealed;
use crate::services::{Ask, Failure, Node, wire};

/// What a new session says of its origin: the session, and the moment where that was not its last.
fn imported_from(session_id: &str, position: u64) -> String {
    match position {
        0 => session_id.to_owned(),
        position => format!("{session_id}@{position}"),
    }
}

pub(super) async fn answer(
    node: Arc<Node>,
    ask: Ask,
    request: ImportSessionRequest,
) -> Result<Response<ImportSessionResponse>, Failure> {
    let export = request.export.ok_or_else(|| {
        Failure::Invalid("there is no export; hint: send what ExportSession gave".into())
    })?;
    if export.format != FORMAT {
        return Err(Failure::Invalid(format!(
            "the export has format {}, this release reads {FORMAT}; hint: export the session with this release",
            export.format
        )));
    }
    let session_id = if request.session_id.is_empty() {
        export.session_id.clone()
    } else {
        request.session_id
    };
    let subject = if request.subject.is_empty() && is_sealed(&session_id) {
        export.subject.clone()
    } else {
        request.subject
    };
    if !export.subject.is_empty() && !is_sealed(&session_id) {
        return Err(Failure::Invalid(format!(
            "the export is of a sealed session, {session_id} would hold its values in plain text; hint: give the new session an id that begins with sealed:"
        )));
    }
    let config = export.config.unwrap_or_default();
    if is_sealed(&session_id) {
        node.subject_key(&ask, &subject).await?;
    }
    let body = ImportSession {
        session_id: session_id.clone(),
        ttl_ms: ttl_ms(config.ttl_seconds, node.settings.session.default_ttl_s)?,
        config: session_config(&config)?,
        subject,
        variables: variables(&export)?,
        programs: programs(&export)?,
        imported_from: imported_from(&export.session_id, export.position),
        metadata: export.metadata,
    };
    let (
        index,
        Answer::SessionImported {
            variables,
            programs,
        },
    ) = node.propose(&ask, Body::ImportSession(body)).await?
    else {
        return Err(misfit());
    };
    Ok(wire::at_index(
        index,
        ImportSessionResponse {
            session_id,
            variables: wire::version(variables),
            programs: wire::version(programs),
        },
    ))
}

fn variables(export: &SessionExport) -> Result<BTreeMap<String, ImportedVariable>, Failure> {
    let mut variables = BTreeMap::new();
    for variable in &export.variables {
        let value = set_variables::value(variable.value.as_ref(), &variable.binary_value)
            .map_err(|why| Failure::Invalid(format!("variable {}: {why}", variable.name)))?;
        let imported = ImportedVariable {
            type_name: variable.r#type.clone(),
            value,
            constraints_json: variable.constraints_json.clone(),
            metadata: variable.metadata.clone(),
            access_json: variable.access_control_json.clone(),
            depends_on: variable
                .dependencies
                .iter()
                .map(|dependency| (dependency.variable.clone(), dependency.kind.clone()))
                .collect(),
        };
        if variables.insert(variable.name.clone(), imported).is_some() {
            return Err(twice("variable", &variable.name));
        }
    }
    Ok(variables)
}

fn programs(export: &SessionExport) -> Result<BTreeMap<String, ImportedProgram>, Failure> {
    let mut programs = BTreeMap::new();
    for program in &export.programs {
        let value = set_variables::value(program.value.as_ref(), &program.binary_value)
            .map_err(|why| Failure::Invalid(format!("program {}: {why}", program.program_id)))?;
        let imported = ImportedProgram {
            value,
            metadata: program.metadata.clone(),
        };
        if programs
            .insert(program.program_id.clone(), imported)
            .is_some()
        {
            return Err(twice("program", &program.program_id));
        }
    }
    Ok(programs)
}

fn twice(what: &str, name: &str) -> Failure {
    Failure::Invalid(format!(
        "the export holds {what} {name} twice; hint: export the session again"
    ))
}
