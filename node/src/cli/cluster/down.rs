//! `snakepit cluster down`: stop all nodes.

use serde_json::json;
use tokio::sync::watch;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, Tone};
use super::Place;
use super::record::Record;
use super::stop::{self, Stopped};

pub(crate) async fn run(context: &Context, place: &Place) -> Result<(), CliError> {
    let layout = place.layout()?;
    let record = Record::load(&layout)?;
    let (_, patient) = watch::channel(false);
    let fates = stop::all(&layout, &record, &patient, || ()).await?;
    let rows = fates.iter().map(|(id, fate)| {
        let tone = if *fate == Stopped::Killed {
            Tone::Bad
        } else {
            Tone::Plain
        };
        vec![Cell::number(id), Cell::toned(fate.name(), tone)]
    });
    let json: Vec<_> = fates
        .iter()
        .map(|(id, fate)| json!({ "node": id, "fate": fate.name() }))
        .collect();
    context
        .output
        .table(&["node", "fate"], rows.collect(), &json)
}
