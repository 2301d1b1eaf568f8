//! Layers, and what is said about text that cannot be understood.

use super::{ConfigError, Flags, LogFormat, Origin, Settings};

const MINIMAL: &str = "[node]\nid = 1\ncluster_id = \"test\"\ndata_dir = \"d\"\n";

fn load(text: &str, env: &[(&str, &str)], flags: Flags) -> Result<Settings, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.toml");
    std::fs::write(&path, text).unwrap();
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(
        &Flags {
            config: Some(path),
            ..flags
        },
        env,
    )
}

/// The lines of the error, without the directory of the file.
fn refusal(text: &str, env: &[(&str, &str)], set: &[&str]) -> Vec<String> {
    let set = set.iter().map(|text| (*text).to_owned()).collect();
    let error = load(
        text,
        env,
        Flags {
            set,
            ..Flags::default()
        },
    )
    .unwrap_err()
    .to_string();
    error
        .lines()
        .map(|line| {
            line.split_once("node.toml")
                .map_or(line, |(_, rest)| rest)
                .to_owned()
        })
        .collect()
}

#[test]
fn defaults_fill_what_nobody_sets() {
    let settings = load(MINIMAL, &[], Flags::default()).unwrap();
    assert_eq!(settings.raft.heartbeat_interval_ms, 75);
    assert_eq!(
        settings.limits.machine_limits(),
        snakepit_machine::Limits::default()
    );
    assert_eq!(
        settings.origin("raft.heartbeat_interval_ms"),
        &Origin::Default
    );
    assert_eq!(settings.origin("node.id"), &Origin::File);
}

#[test]
fn each_layer_wins_over_the_one_before() {
    let text = format!(
        "{MINIMAL}[raft]\nsnapshot_entries = 1_001\nlog_entries_kept = 0x10\n[log]\nformat = \"json\"\n"
    );
    let env = [
        ("SNAKEPIT_RAFT__SNAPSHOT_ENTRIES", "1002"),
        ("SNAKEPIT_SESSION__DEFAULT_TTL_S", "60"),
        ("SNAKEPIT_LISTEN__HTTP", "127.0.0.1:9"),
        ("SNAKEPIT_ENDPOINTS", "not a setting"),
        ("HOME", "x__y"),
    ];
    let flags = Flags {
        listen_http: Some("[::1]:0".parse().unwrap()),
        set: vec![
            "session.default_ttl_s=61".into(),
            "listen.http=127.0.0.1:8".into(),
        ],
        ..Flags::default()
    };
    let settings = load(&text, &env, flags).unwrap();
    assert_eq!(settings.raft.snapshot_entries, 1002);
    assert_eq!(settings.raft.log_entries_kept, 16);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.session.default_ttl_s, 61);
    assert_eq!(settings.listen.http.to_string(), "[::1]:0");
    let origin = Origin::Env("SNAKEPIT_RAFT__SNAPSHOT_ENTRIES".into());
    assert_eq!(settings.origin("raft.snapshot_entries"), &origin);
    assert_eq!(
        settings.origin("session.default_ttl_s"),
        &Origin::Flag("--set")
    );
    assert_eq!(
        settings.origin("listen.http"),
        &Origin::Flag("--listen-http")
    );
}

#[test]
fn every_key_can_be_set_in_the_environment() {
    let shown = load(MINIMAL, &[], Flags::default()).unwrap();
    let env = super::sections::keys().map(|key| {
        let value = (key.toml)(&shown);
        (key.env(), value.trim_matches('"').to_owned())
    });
    let settings = Settings::load(&Flags::default(), env).unwrap();
    for key in super::sections::keys() {
        assert_eq!((key.toml)(&settings), (key.toml)(&shown), "{}", key.path());
        assert_eq!(settings.origin(&key.path()), &Origin::Env(key.env()));
    }
}

#[test]
fn unknown_keys_are_told_with_place_and_nearest() {
    let text = format!(
        "{MINIMAL}[raft]\nhartbeat_interval_ms = 1\nvalue_bytes_max = 2\nzzz = 3\n[limit]\nx = 1\n\
         [[member]]\nid = 1\nclient = \"h:1\"\npeer = \"h:2\"\nhtpp = \"h:3\"\n"
    );
    let lines = refusal(&text, &[], &[]);
    assert_eq!(
        lines[..2],
        [
            ", line 6, column 1: unknown setting raft.hartbeat_interval_ms; \
             hint: did you mean raft.heartbeat_interval_ms?",
            ", line 7, column 1: unknown setting raft.value_bytes_max; \
             hint: did you mean limits.value_bytes_max?",
        ]
    );
    assert!(lines[2].starts_with(
        ", line 8, column 1: unknown setting raft.zzz; hint: known keys of raft are heartbeat"
    ));
    assert_eq!(
        lines[3..],
        [
            ", line 9, column 2: unknown setting limit; hint: did you mean limits?",
            ", line 15, column 1: unknown setting member.htpp; hint: did you mean member.http?",
        ]
    );
}

#[test]
fn wrong_values_are_told_with_place_and_remedy() {
    let text = "[node]\nid = \"1\"\ninsecure = 1\n[listen]\nclient = \"localhost:1\"\n\
                [limits]\nsessions_max = -1\nttl_min_ms = 1.5\n[log]\nformat = \"xml\"\n";
    assert_eq!(
        refusal(text, &[], &[]),
        [
            ", line 2, column 6: node.id takes an integer, found a string; \
             hint: write it without quotes and units, like 4096",
            ", line 3, column 12: node.insecure takes true or false, found an integer; \
             hint: write it without quotes",
            ", line 5, column 10: listen.client: \"localhost:1\" is not an IP address and port; \
             hint: write 127.0.0.1:7001 or [::1]:7001",
            ", line 7, column 16: limits.sessions_max: \"-1\" is not a whole number from 0 to \
             18446744073709551615; hint: write it without quotes and units, like 4096",
            ", line 8, column 14: limits.ttl_min_ms takes an integer, found a float; \
             hint: write it without quotes and units, like 4096",
            ", line 10, column 10: log.format: \"xml\" is not a format of records; \
             hint: write text or json",
        ]
    );
}

#[test]
fn malformed_toml_is_told_with_place() {
    let lines = refusal("[node]\nid = 1\ncluster_id = é\n", &[], &[]);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with(", line 3, column 14: "), "{lines:?}");
    let twice = refusal("[node]\nid = 1\nid = 2\n", &[], &[]);
    assert!(
        twice[0].starts_with(", line 3, column 1: duplicate key"),
        "{twice:?}"
    );
}

#[test]
fn sections_and_tables_are_not_confused() {
    let lines = refusal("raft = 1\n[member]\nid = 1\n[[node]]\nid = 1\n", &[], &[]);
    assert!(
        lines[0].contains("raft: it is a section; hint: write [raft]"),
        "{lines:?}"
    );
    assert!(
        lines[1].contains("member: it is a list of tables; hint: write [[member]]"),
        "{lines:?}"
    );
    assert!(lines[2].contains("node: it is a section"), "{lines:?}");
    let missing = refusal("[[member]]\nid = 1\n", &[], &[]);
    assert!(
        missing[0].contains("member: missing field `client`"),
        "{missing:?}"
    );
}

#[test]
fn environment_and_flags_are_checked_like_the_file() {
    let env = [
        ("SNAKEPIT_RAFTS__SNAPSHOT_ENTRIES", "1"),
        ("SNAKEPIT_RAFT__SNAPSHOT_ENTRYS", "1"),
        ("SNAKEPIT_RAFT__LOG_ENTRIES_KEPT", "many"),
        ("SNAKEPIT_POOL__SIZE", "1"),
    ];
    let lines = refusal(MINIMAL, &env, &["raft.x", "pool.size=1", "nodes.id=4"]);
    assert_eq!(
        lines,
        [
            "environment variable SNAKEPIT_POOL__SIZE: [[pool]] can be set in the settings file only; \
             hint: use --config",
            "environment variable SNAKEPIT_RAFTS__SNAPSHOT_ENTRIES: unknown setting \
             rafts.snapshot_entries; hint: did you mean raft.snapshot_entries?",
            "environment variable SNAKEPIT_RAFT__LOG_ENTRIES_KEPT: raft.log_entries_kept: \"many\" is not \
             a whole number from 0 to 18446744073709551615; hint: write it without quotes and units, like \
             4096",
            "environment variable SNAKEPIT_RAFT__SNAPSHOT_ENTRYS: unknown setting raft.snapshot_entrys; \
             hint: did you mean raft.snapshot_entries?",
            "flag --set raft.x: \"raft.x\" is not an assignment; \
             hint: --set raft.snapshot_entries=50000",
            "flag --set pool.size=1: [[pool]] can be set in the settings file only; hint: use --config",
            "flag --set nodes.id=4: unknown setting nodes.id; hint: did you mean node.id?",
        ]
    );
}

#[test]
fn a_missing_file_is_told() {
    let flags = Flags {
        config: Some("no/such/node.toml".into()),
        ..Flags::default()
    };
    let error = Settings::load(&flags, std::iter::empty())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot read the settings file no/such/node.toml: "),
        "{error}"
    );
}

#[test]
fn what_is_printed_gives_the_same_settings_again() {
    let text = format!(
        "{MINIMAL}[log]\nlevel = \"info,x=debug\"\n\
         [[member]]\nid = 1\nclient = \"h:1\"\npeer = \"h:2\"\nhttp = \"h:3\"\n\
         [[member]]\nid = 2\nclient = \"i:1\"\npeer = \"i:2\"\nhttp = \"i:3\"\n\
         [[pool]]\nname = \"a\"\nadapter = \"pkg.mod.A\"\n[pool.env]\nKEY = \"a \\\"b\\\" # c\"\n\
         [[pool]]\nname = \"b\"\nadapter = \"pkg.mod.B\"\n"
    );
    let env = [("SNAKEPIT_RAFT__LOG_ENTRIES_KEPT", "7")];
    let flags = Flags {
        insecure: true,
        ..Flags::default()
    };
    let first = load(&text, &env, flags).unwrap();
    let printed = first.render();
    assert!(printed.contains("id = 1 # file; 1 to"), "{printed}");
    assert!(
        printed.contains("snapshot_entries = 100000 # default; 100 to 1000000000\n"),
        "{printed}"
    );
    assert!(printed.contains("log_entries_kept = 7 # env SNAKEPIT_RAFT__LOG_ENTRIES_KEPT; 0 to"));
    assert!(
        printed.contains("insecure = true # flag --insecure\n"),
        "{printed}"
    );

    let second = load(&printed, &[], Flags::default()).unwrap();
    for key in super::sections::keys() {
        assert_eq!((key.toml)(&first), (key.toml)(&second), "{}", key.path());
    }
    assert_eq!(first.members, second.members);
    assert_eq!(first.pools, second.pools);
}

#[test]
fn labels_have_free_keys() {
    let text = format!(
        "{MINIMAL}[node.labels]\nrack = \"7\"\n\"cpu.arch\" = \"mine\"\n[raft]\nsnapshot_entries = 1000\n"
    );
    let flags = Flags {
        set: vec!["node.labels.rack=8".into(), "node.labels.a.b=c = d".into()],
        ..Flags::default()
    };
    let first = load(&text, &[], flags).unwrap();
    let labels: Vec<_> = first
        .labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        labels,
        [("a.b", "c = d"), ("cpu.arch", "mine"), ("rack", "8")]
    );
    assert_eq!(first.origin("node.labels"), &Origin::Flag("--set"));

    let printed = first.render();
    let second = load(&printed, &[], Flags::default()).unwrap();
    assert_eq!(first.labels, second.labels, "{printed}");
}

#[test]
fn labels_that_are_no_strings_are_told() {
    let text = format!("{MINIMAL}[node.labels]\nrack = 7\ncpu.arch = \"x\"\n");
    let env = [
        ("SNAKEPIT_NODE__LABELS", "x"),
        ("SNAKEPIT_NODE__LABELS__RACK", "x"),
    ];
    assert_eq!(
        refusal(&text, &env, &["node.labels=x", "node.label=x"]),
        [
            ", line 6, column 8: node.labels.rack takes a string, found an integer; hint: put it in quotes",
            ", line 7, column 1: node.labels.cpu: it takes a string, found a table; \
             hint: put a key with dots in quotes",
            "environment variable SNAKEPIT_NODE__LABELS: [node.labels] can be set in the settings file only; \
             hint: use --config",
            "environment variable SNAKEPIT_NODE__LABELS__RACK: [node.labels] can be set in the settings file \
             only; hint: use --config",
            "flag --set node.labels=x: [node.labels] can be set in the settings file only; hint: use --config",
            "flag --set node.label=x: unknown setting node.label; hint: did you mean node.labels?",
        ]
    );
    let not_a_table = format!("{MINIMAL}labels = 7\n");
    assert_eq!(
        refusal(&not_a_table, &[], &[]),
        [
            ", line 5, column 10: node.labels: it is a table; hint: write [node.labels] above its keys"
        ]
    );
}
