//! Limits between settings: all broken ones are told at once, each with its remedy.

use super::{Member, Settings};

fn good() -> Settings {
    let mut settings = Settings::default();
    settings.node.id = 1;
    settings.node.cluster_id = "test".into();
    settings.node.data_dir = "data".into();
    settings
}

fn member(id: u64, host: &str) -> Member {
    let at = |port: u16| format!("{host}:{port}");
    Member {
        id,
        client: at(7001),
        peer: at(7101),
        http: at(7201),
    }
}

fn problems(change: impl FnOnce(&mut Settings)) -> Vec<String> {
    let mut settings = good();
    change(&mut settings);
    settings
        .validate()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Each problem as far as its hint.
fn heads(change: impl FnOnce(&mut Settings)) -> Vec<String> {
    let all = problems(change);
    all.iter()
        .map(|text| text.split("; hint: ").next().unwrap().to_owned())
        .collect()
}

#[test]
fn defaults_lack_only_an_identity() {
    assert_eq!(problems(|_| {}), Vec::<String>::new());
    let found: Vec<_> = Settings::default()
        .validate()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found.len(), 3);
    assert!(
        found[0].starts_with("node.id is 0, it must be from 1 to "),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("node.cluster_id is \"\", it must be 1 to 128 bytes long; hint: ")
    );
    assert!(found[2].starts_with("node.data_dir is \"\", it must be a directory; hint: "));
}

#[test]
fn all_problems_are_told_at_once_in_the_voice_of_the_project() {
    let found = problems(|s| {
        s.raft.heartbeat_interval_ms = 100;
        s.raft.election_timeout_min_ms = 50;
        s.limits.message_bytes_max = 65_536;
        s.session.default_ttl_s = 0;
        s.log.level = "a=b=c".into();
    });
    assert!(found.len() >= 4, "{found:?}");
    assert!(
        found.iter().any(|text| text.starts_with(
            "raft.election_timeout_min_ms is 50, it must be above 2 × raft.heartbeat_interval_ms (100); \
             hint: "
        )),
        "{found:?}"
    );
    for text in found {
        assert!(
            text.contains("; hint: ") && !text.ends_with('.') && !text.contains('\n'),
            "{text}"
        );
    }
}

#[test]
fn every_number_is_held_to_its_range() {
    for key in super::sections::keys() {
        let Some(range) = &key.range else { continue };
        for value in [range.start().checked_sub(1), range.end().checked_add(1)]
            .into_iter()
            .flatten()
        {
            let mut settings = good();
            (key.set)(&mut settings, &value.to_string()).unwrap();
            let head = format!(
                "{} is {value}, it must be from {}",
                key.path(),
                range.start()
            );
            let found = settings.validate();
            assert!(
                found.iter().any(|p| p.to_string().starts_with(&head)),
                "{head}: {found:?}"
            );
        }
    }
}

#[test]
fn a_bind_beyond_loopback_needs_consent() {
    let open = |s: &mut Settings| {
        s.listen.client = "0.0.0.0:7001".parse().unwrap();
        s.listen.peer = "[::ffff:127.0.0.1]:7101".parse().unwrap();
    };
    let found = problems(open);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(
        "listen.client is \"0.0.0.0:7001\", it must be a loopback address while node.insecure is false"
    ));
    assert!(found[0].contains("--insecure"));
    assert!(
        problems(|s| {
            open(s);
            s.node.insecure = true;
        })
        .is_empty()
    );
}

#[test]
fn listeners_do_not_share_a_port_unless_the_system_chooses() {
    let same = |s: &mut Settings, at: &str| {
        s.listen.client = at.parse().unwrap();
        s.listen.http = at.parse().unwrap();
    };
    assert_eq!(
        heads(|s| same(s, "127.0.0.1:1")),
        ["listen.http is \"127.0.0.1:1\", it must be another address than listen.client"]
    );
    assert!(problems(|s| same(s, "127.0.0.1:0")).is_empty());
}

#[test]
fn members_are_distinct_reachable_and_include_the_node() {
    assert!(problems(|s| s.members = vec![member(1, "a"), member(2, "[::1]")]).is_empty());
    assert_eq!(
        heads(|s| s.members = vec![member(2, "a"), member(2, "b"), member(0, "no host")]),
        [
            "member[1].id is 2, it must be another number than that of member[0]",
            "member[2].id is 0, it must be from 1 to 9223372036854775807",
            "member[2].client is \"no host:7001\", it must be host:port with a port from 1 to 65535",
            "member[2].peer is \"no host:7101\", it must be host:port with a port from 1 to 65535",
            "member[2].http is \"no host:7201\", it must be host:port with a port from 1 to 65535",
            "node.id is 1, it must be one of the members",
        ]
    );
    assert_eq!(
        heads(|s| {
            s.members = vec![member(1, "a"), member(2, "b")];
            s.members[1].peer = "a:7001".into();
        }),
        ["member[1].peer is \"a:7001\", it must be another address than member[0].client"]
    );
}

#[test]
fn queues_hold_what_may_enter_them() {
    assert_eq!(
        heads(|s| {
            s.raft.propose_queue_max = 10;
            s.raft.propose_queue_bytes_max = 1 << 20;
            s.limits.value_bytes_max = 2 << 20;
            s.limits.message_bytes_max = 2 << 20;
        }),
        [
            "raft.propose_queue_max is 10, it must be at least raft.proposal_commands_max (512)",
            "raft.propose_queue_bytes_max is 1048576, it must be at least limits.message_bytes_max \
             (2097152) and raft.proposal_bytes_max (262144)",
            "limits.message_bytes_max is 2097152, it must be above limits.value_bytes_max (2097152)",
        ]
    );
}

#[test]
fn times_are_in_order() {
    assert_eq!(
        heads(|s| {
            s.raft.election_timeout_max_ms = 160;
            s.limits.ttl_min_ms = 20_000;
            s.limits.ttl_max_ms = 10_000;
        }),
        [
            "raft.election_timeout_max_ms is 160, it must be above raft.election_timeout_min_ms (160)",
            "limits.ttl_max_ms is 10000, it must be at least limits.ttl_min_ms (20000)",
            "session.default_ttl_s is 3600, it must be between limits.ttl_min_ms (20000) and \
             limits.ttl_max_ms (10000)",
        ]
    );
}

#[test]
fn pools_are_distinct_and_checked() {
    let pool = |name: &str, size| crate::pool::PoolSettings {
        name: name.into(),
        adapter: "pkg.mod.Class".into(),
        size,
        ..Default::default()
    };
    let found = heads(|s| s.pools = vec![pool("a", 1), pool("a", 1_025)]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        found[0],
        "pool[1].name is \"a\", it must be another name than that of pool[0]"
    );
    assert!(found[1].starts_with("pool[1].size: 1025 "), "{found:?}");
}

#[test]
fn labels_have_limits() {
    let found = heads(|settings| {
        settings.labels.insert("a b".into(), "x".into());
        settings.labels.insert("long".into(), "v".repeat(257));
    });
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        found[0],
        "node.labels.a b is \"x\", it must be named with 1 to 64 letters, digits and _ . / -"
    );
    assert!(found[1].starts_with("node.labels.long is "), "{found:?}");
    let many = heads(|settings| {
        settings.labels = (0..65)
            .map(|at| (format!("k{at}"), String::new()))
            .collect();
    });
    assert_eq!(
        many,
        ["node.labels is 65 labels, it must be at most 64 labels"]
    );
}

#[test]
fn spans_go_over_plain_http() {
    let endpoint = |text: &str| {
        heads(|settings| settings.telemetry.otlp_endpoint = text.to_owned()).is_empty()
    };
    for good in [
        "",
        "http://127.0.0.1:4317",
        "http://collector.internal:4317/",
        "http://[::1]:4317",
    ] {
        assert!(endpoint(good), "{good}");
    }
    for bad in [
        "127.0.0.1:4317",
        "https://h:4317",
        "http://h",
        "http://h:4317/v1/traces",
        "http://",
    ] {
        assert!(!endpoint(bad), "{bad}");
    }
    let found = heads(|settings| {
        settings.telemetry.service_name.clear();
        settings.telemetry.sample_percent = 101;
    });
    assert_eq!(
        found,
        [
            "telemetry.sample_percent is 101, it must be from 0 to 100",
            "telemetry.service_name is \"\", it must be 1 to 255 bytes long",
        ]
    );
}
