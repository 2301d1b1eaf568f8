//! What every verb takes: where the cluster is, who asks, how answers look.

use std::time::Duration;

use clap::Args;
use snakepit_client::{Client, ClientOptions, Endpoint, parse_endpoints};

use super::arguments::duration;
use super::error::CliError;
use super::output::{Format, Output};

/// Nodes of a cluster that `snakepit cluster up` launches without being told otherwise.
const DEFAULT_ENDPOINTS: &str = "127.0.0.1:7001,7002,7003";

/// Flags of all verbs.
#[derive(Clone, Debug, Args)]
pub(crate) struct Globals {
    /// Nodes to ask, comma separated; any of the cluster will do [default: 127.0.0.1:7001,7002,7003]
    #[arg(
        long,
        global = true,
        env = "SNAKEPIT_ENDPOINTS",
        value_name = "HOST:PORT,…"
    )]
    pub endpoints: Option<String>,
    /// Who asks, for the audit log [default: the user's name]
    #[arg(long, global = true, env = "SNAKEPIT_PRINCIPAL", value_name = "NAME")]
    pub principal: Option<String>,
    /// Time for each request, repeats included
    #[arg(long, global = true, default_value = "30s", value_parser = duration, value_name = "TIME")]
    pub timeout: Duration,
    /// How answers are printed
    #[arg(
        short,
        long,
        global = true,
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub output: Format,
}

/// What verbs work with.
#[derive(Debug)]
pub(crate) struct Context {
    globals: Globals,
    /// Where answers go.
    pub output: Output,
}

impl Context {
    /// From the flags.
    pub fn new(globals: Globals) -> Self {
        let output = Output::new(globals.output);
        Self { globals, output }
    }

    /// Whether somebody said where the cluster is.
    pub fn names_endpoints(&self) -> bool {
        self.globals.endpoints.is_some()
    }

    /// Time for each request.
    pub fn timeout(&self) -> Duration {
        self.globals.timeout
    }

    /// The nodes to ask.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, CliError> {
        let text = self
            .globals
            .endpoints
            .as_deref()
            .unwrap_or(DEFAULT_ENDPOINTS);
        parse_endpoints(text).map_err(|error| CliError::usage(error.message()))
    }

    /// A client of the nodes to ask.
    pub fn client(&self) -> Result<Client, CliError> {
        self.client_of(self.endpoints()?)
    }

    /// A client of these nodes.
    pub fn client_of(&self, endpoints: Vec<Endpoint>) -> Result<Client, CliError> {
        let principal = self.globals.principal.clone().unwrap_or_else(user_name);
        let options = ClientOptions {
            principal,
            timeout: self.globals.timeout,
            ..ClientOptions::default()
        };
        Ok(Client::new(endpoints, options)?)
    }
}

/// Name of the user who runs the command, or their number.
fn user_name() -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named
        .or_else(|| std::env::var("USER").ok())
        .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
        .unwrap_or_else(|| format!("uid-{uid}"))
}
