//! Many clients at once, and a record of what they asked and what they were told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::json;
use snakepit_client::{Client, ClientError, ClientOptions, Registration};
use tokio::task::JoinSet;

use crate::deadline::within;
use crate::history::{Asked, FIRST_VALUE, Key, Operation, Told, check, check_events};
use crate::{Cluster, seed};

/// Clients, each beginning at another node.
const CLIENTS: u64 = 6;
/// Registers in each of two sessions: few, so that clients meet.
const REGISTERS: u64 = 3;
const SESSIONS: [&str; 2] = ["load-a", "load-b"];
/// Between two operations of a client, at most.
const PAUSE: Duration = Duration::from_millis(4);
/// Time for one operation, its repeats included.
const OPERATION: Duration = Duration::from_secs(6);
/// Time for one try.
const ATTEMPT: Duration = Duration::from_millis(1_500);
/// Time in which a healthy cluster acknowledges something again.
const PROGRESS: Duration = Duration::from_secs(30);

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
    seed: u64,
}

#[derive(Debug)]
struct Shared {
    began: Instant,
    history: Mutex<Vec<Operation>>,
    acknowledged: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a test does not last for centuries")
    }

    fn history(&self) -> std::sync::MutexGuard<'_, Vec<Operation>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ask, and write down what was asked and told.
    async fn record(&self, key: &Key, asked: Asked, answer: impl Future<Output = Told>) -> Told {
        let began = self.now();
        let told = answer.await;
        let ended = self.now();
        if matches!(told, Told::Done(_)) {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        let (key, kept) = (key.clone(), told.clone());
        self.history().push(Operation {
            key,
            asked,
            told: kept,
            began,
            ended,
        });
        told
    }
}

impl Load {
    /// Make the registers and set clients to work.
    pub async fn begin(cluster: &Cluster) -> Self {
        let seed = seed::take();
        make_registers(&cluster.client()).await;
        let shared = Arc::new(Shared {
            began: Instant::now(),
            history: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let options = ClientOptions {
                timeout: OPERATION,
                attempt_timeout: ATTEMPT,
                principal: format!("client-{number}"),
                ..ClientOptions::default()
            };
            let client = cluster.client_from(1 + number % cluster.spec.nodes, options);
            clients.spawn(work(
                shared.clone(),
                client,
                number,
                seed::random(seed, number),
            ));
        }
        Self {
            shared,
            clients,
            seed,
        }
    }

    /// The seed; a test's own choices come from it as well.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Wait until so many further writes are acknowledged.
    pub async fn progress(&self, writes: u64) {
        let wanted = self.shared.acknowledged.load(Ordering::Relaxed) + writes;
        within(PROGRESS, "writes are acknowledged", || async {
            let now = self.shared.acknowledged.load(Ordering::Relaxed);
            if now >= wanted {
                Ok(())
            } else {
                Err(format!("{now} of {wanted}"))
            }
        })
        .await;
    }

    /// Stop the clients, read all registers once more, and require that everything fits: history, events,
    /// and the nodes among each other.
    pub async fn end_and_check(mut self, cluster: &Cluster) -> Vec<Operation> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("a client does not panic");
        }
        for id in cluster.up() {
            let client = cluster.at(id);
            for key in keys() {
                let told = self
                    .shared
                    .record(&key, Asked::Read, read(&client, &key))
                    .await;
                assert!(
                    matches!(told, Told::Seen(..)),
                    "node {id}, {key:?}: {told:?}"
                );
            }
        }
        let history = std::mem::take(&mut *self.shared.history());
        check(&history).unwrap_or_else(|fault| panic!("seed {}: {fault}", self.seed));
        let events = cluster.verify().await;
        check_events(&history, &events)
            .unwrap_or_else(|fault| panic!("seed {}: {fault}", self.seed));
        println!("{}", summary(&history));
        history
    }
}

fn keys() -> impl Iterator<Item = Key> {
    SESSIONS.into_iter().flat_map(|session| {
        (0..REGISTERS).map(move |number| (session.to_owned(), format!("r{number}")))
    })
}

async fn make_registers(client: &Client) {
    for session in SESSIONS {
        client
            .create_session(session, None, BTreeMap::new())
            .await
            .expect("a session is made");
    }
    for (session, name) in keys() {
        let value = json!(FIRST_VALUE);
        let registration = Registration {
            name,
            type_name: "integer".into(),
            value,
            ..Registration::default()
        };
        client
            .register_variable(&session, registration)
            .await
            .expect("a variable is registered");
    }
}

async fn work(shared: Arc<Shared>, client: Client, number: u64, mut random: StdRng) {
    let keys: Vec<_> = keys().collect();
    let mut known: BTreeMap<Key, u64> = BTreeMap::new();
    for count in 1.. {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let key = &keys[random.random_range(0..keys.len())];
        // Never the same value twice.
        let value = i64::try_from(number * 10_000_000 + count).expect("it is small");
        let asked = match (random.random_range(0..3), known.get(key)) {
            (0, _) => Asked::Read,
            (1, Some(version)) => Asked::Swap(*version, value),
            _ => Asked::Write(value),
        };
        let told = match asked {
            Asked::Read => shared.record(key, asked, read(&client, key)).await,
            Asked::Write(value) => {
                shared
                    .record(key, asked, write(&client, key, value, None))
                    .await
            }
            Asked::Swap(version, value) => {
                shared
                    .record(key, asked, write(&client, key, value, Some(version)))
                    .await
            }
        };
        if let Told::Seen(version, _) | Told::Done(version) = told {
            known.insert(key.clone(), version);
        }
        tokio::time::sleep(PAUSE.mul_f64(random.random())).await;
    }
}

async fn read(client: &Client, key: &Key) -> Told {
    match client.get_variable(&key.0, &key.1).await {
        Ok(variable) => Told::Seen(
            variable.version,
            variable.value.value.as_i64().expect("an integer"),
        ),
        Err(error) => failed(error),
    }
}

async fn write(client: &Client, key: &Key, value: i64, expected: Option<u64>) -> Told {
    match client
        .set_variable(&key.0, &key.1, &json!(value), expected)
        .await
    {
        Ok(version) => Told::Done(version.value),
        Err(ClientError::Conflict(_)) => Told::Conflict,
        Err(error) => failed(error),
    }
}

fn failed(error: ClientError) -> Told {
    if error.maybe_done() {
        Told::Maybe(error.to_string())
    } else {
        Told::NotDone(error.to_string())
    }
}

fn summary(history: &[Operation]) -> String {
    let count = |wanted: fn(&Told) -> bool| history.iter().filter(|one| wanted(&one.told)).count();
    format!(
        "{} reads, {} writes, {} conflicts, {} not done, {} maybe",
        count(|told| matches!(told, Told::Seen(..))),
        count(|told| matches!(told, Told::Done(_))),
        count(|told| matches!(told, Told::Conflict)),
        count(|told| matches!(told, Told::NotDone(_))),
        count(|told| matches!(told, Told::Maybe(_))),
    )
}
