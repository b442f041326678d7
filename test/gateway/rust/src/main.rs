//! What a program with sierradb-client sees.
//!
//! usage: gateway-client PORT PORT_OF_TUTORIAL PORT_WITH_PASSWORDS
//! The last one wants the user ada with the password "secret".

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};
use sierradb_client::{
    stream_partition_key, AsyncTypedCommands, EAppendOptions, EMAppendEvent, ErrorCode, Event,
    EventSubscription, ExpectedVersion, PipelineExt, SierraAsyncClientExt, SierraError,
    SierraMessage, SubscriptionManager, TypedCommands,
};
use uuid::Uuid;

type Failure = Box<dyn std::error::Error>;

/// Prints a line for each check; test/lib/SierraGateway.pm makes tests of them.
#[derive(Default)]
struct Checks {
    count: usize,
}

impl Checks {
    fn ok(&mut self, condition: bool, name: &str, found: &dyn Debug) {
        self.count += 1;
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if condition {
            println!("ok {name}");
        } else {
            println!("not ok {name}, but: {found:?}");
        }
    }

    fn equal<T: Debug + PartialEq>(&mut self, found: T, expected: T, name: &str) {
        self.ok(found == expected, name, &found);
    }
}

/// A connection that waits longer than the half second of redis-rs, because machines of tests can be slow.
async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(LONG)).set_response_timeout(Some(LONG));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// The manager of sierradb-client always waits for half a second only: then its part is done once more.
macro_rules! patiently {
    ($part:expr) => {{
        let mut attempts = 1;
        loop {
            match $part.await {
                Err(error) if is_late(&error) && attempts < 50 => attempts += 1,
                outcome => break outcome,
            }
        }
    }};
}

fn is_late(error: &Failure) -> bool {
    error.downcast_ref::<RedisError>().is_some_and(RedisError::is_timeout)
}

fn stream(kind: &str) -> String {
    format!("{kind}-{}", Uuid::new_v4())
}

/// Code and text of an error of the server; anything else is a failed check.
fn refusal<T: Debug>(answer: RedisResult<T>) -> (Option<ErrorCode>, String) {
    match answer.map_err(SierraError::from) {
        Err(SierraError::Protocol { code, message }) => (Some(code), message.unwrap_or_default()),
        other => (None, format!("{other:?}")),
    }
}

async fn check_appends(checks: &mut Checks, conn: &mut MultiplexedConnection) -> Result<(), Failure> {
    let hello = conn.hello(3).await?;
    checks.equal((hello.server.as_str(), hello.num_partitions), ("sierradb", 32), "HELLO");
    checks.equal(conn.ping().await?, "PONG".to_string(), "PING");

    let id = stream("order");
    let (event_id, time) = (Uuid::new_v4(), UNIX_EPOCH + Duration::from_millis(1_697_641_800_123));
    let options = EAppendOptions::new()
        .event_id(event_id)
        .partition_key(stream_partition_key(&id))
        .expected_version(ExpectedVersion::Empty)
        .timestamp(time)
        .payload(br#"{"total": 1}"#)
        .metadata(b"\x00\xff CBOR or what you like".to_vec());
    let first = conn.eappend(&id, "OrderCreated", options).await?;
    checks.equal((first.event_id, first.stream_version, first.timestamp), (event_id, 0, time), "eappend");
    checks.equal(first.partition_key, stream_partition_key(&id), "the key of the partition");
    let hash = (first.partition_key.as_u128() >> 46) as u16;
    checks.equal(first.partition_id, hash % 32, "the partition");

    let event: Event = conn.eget(event_id).await?.ok_or("no event")?;
    checks.equal((event.event_id, event.stream_id.as_str(), event.event_name.as_str()), (event_id, id.as_str(), "OrderCreated"), "eget");
    checks.equal(event.payload, br#"{"total": 1}"#.to_vec(), "its payload");
    checks.equal(event.metadata, b"\x00\xff CBOR or what you like".to_vec(), "its metadata");
    checks.equal((event.timestamp, event.partition_sequence), (time, first.partition_sequence), "its numbers");
    checks.ok(conn.eget(Uuid::new_v4()).await?.is_none(), "eget of no event", &"an event");

    let exact = |version| EAppendOptions::new().expected_version(ExpectedVersion::Exact(version));
    let exists = || EAppendOptions::new().expected_version(ExpectedVersion::Exists);
    checks.equal(conn.eappend(&id, "B", exact(0)).await?.stream_version, 1, "an exact version");
    checks.equal(conn.eappend(&id, "C", exists()).await?.stream_version, 2, "a stream that exists");
    let (code, message) = refusal(conn.eappend(&id, "D", exact(0)).await);
    checks.equal(code, Some(ErrorCode::WrongVer), "a conflict has its code");
    checks.ok(message.starts_with("current stream version is 2 but expected 0 for partition key "), "and text", &message);
    let (code, _) = refusal(conn.eappend(stream("none"), "D", exists()).await);
    checks.equal(code, Some(ErrorCode::WrongVer), "a stream that has to exist");
    let other = EAppendOptions::new().partition_key(Uuid::new_v4());
    checks.equal(refusal(conn.eappend(&id, "D", other).await).0, Some(ErrorCode::DbOpFailed), "another key of the stream");
    checks.equal(refusal(conn.eappend("", "D", EAppendOptions::new()).await).0, Some(ErrorCode::InvalidArg), "an empty name");
    checks.equal(conn.esver(&id).await?, Some(2), "esver");
    checks.equal(conn.esver_with_partition_key(&id, first.partition_key).await?, Some(2), "esver with a key");
    checks.equal(conn.esver(&stream("none")).await?, None, "esver of no stream");
    let now = conn.eappend(&id, "E", EAppendOptions::new()).await?.timestamp;
    let age = SystemTime::now().duration_since(now).unwrap_or_default();
    checks.ok(age < Duration::from_secs(600), "the time of the server", &now);
    Ok(())
}

async fn check_batches(checks: &mut Checks, conn: &mut MultiplexedConnection) -> Result<(), Failure> {
    let (key, one, two) = (Uuid::new_v4(), stream("one"), stream("two"));
    let events = [
        EMAppendEvent::new(&one, "A").expected_version(ExpectedVersion::Empty).payload(br#"{"n": 1}"#),
        EMAppendEvent::new(&two, "B").event_id(Uuid::new_v4()).timestamp(UNIX_EPOCH + Duration::from_secs(9)),
        EMAppendEvent::new(&one, "C").expected_version(ExpectedVersion::Exact(0)).metadata(b"m"),
    ];
    let many = conn.emappend(key, &events).await?;
    checks.equal(many.partition_key, key, "emappend: the key");
    let found: Vec<_> = many.events.iter().map(|event| (event.stream_id.as_str(), event.stream_version)).collect();
    checks.equal(found, vec![(one.as_str(), 0), (two.as_str(), 0), (one.as_str(), 1)], "streams and versions");
    checks.equal(many.last_partition_sequence, many.first_partition_sequence + 2, "sequences");
    let (first, last) = (many.first_partition_sequence, many.last_partition_sequence);
    let names = |events: &[Event]| events.iter().map(|event| event.event_name.clone()).collect::<String>();
    let batch = conn.epscan_by_key(key, first, Some(last), None).await?;
    checks.equal((names(&batch.events).as_str(), batch.has_more), ("ABC", false), "epscan_by_key");
    let right = batch.events.iter().zip(&many.events).all(|(event, info)| {
        (event.event_id, event.partition_sequence, event.partition_id) == (info.event_id, info.partition_sequence, info.partition_id)
    });
    checks.ok(right, "the events have the ids and sequences of the answer", &many);
    let batch = conn.epscan_by_id(many.partition_id, first, None, Some(2)).await?;
    checks.equal((names(&batch.events).as_str(), batch.has_more), ("AB", true), "epscan_by_id");
    let batch = conn.escan(&one, 0, None, None).await?;
    checks.equal((names(&batch.events).as_str(), batch.has_more), ("AC", false), "escan");
    let batch = conn.escan(&one, 1, Some(1), Some(1)).await?;
    checks.equal((names(&batch.events).as_str(), batch.has_more), ("C", false), "escan of one event");
    let batch = conn.escan_with_partition_key(&one, key, 0, Some(5), Some(1)).await?;
    checks.equal((names(&batch.events).as_str(), batch.has_more), ("A", true), "escan_with_partition_key");
    checks.equal(conn.epseq_by_key(key).await?, conn.epseq_by_id(many.partition_id).await?, "epseq_by_key, epseq_by_id");
    checks.ok(conn.epseq_by_id(many.partition_id).await? >= Some(last), "they know the last event", &last);
    let conflict = [EMAppendEvent::new(stream("three"), "A"), EMAppendEvent::new(&one, "B").expected_version(ExpectedVersion::Empty)];
    checks.equal(refusal(conn.emappend(key, &conflict).await).0, Some(ErrorCode::WrongVer), "emappend: a conflict");

    let versions: Vec<sierradb_client::AppendInfo> = {
        let mut pipe = redis::pipe();
        for _ in 0..100 {
            pipe.eappend(&two, "P", EAppendOptions::new());
        }
        pipe.query_async(conn).await?
    };
    let versions: Vec<_> = versions.iter().map(|info| info.stream_version).collect();
    checks.equal(versions, (1..101).collect(), "a pipeline");
    Ok(())
}

/// Half of sierradb-client's own examples do it like this: no RESP3, no async.
fn check_sync(checks: &mut Checks, url: &str) -> Result<(), Failure> {
    let mut conn = Client::open(url)?.get_connection()?;
    let id = stream("user");
    let first = conn.eappend(&id, "UserMade", EAppendOptions::new().payload(b"\xa1\x61a\x01").metadata(b"\xa0"))?;
    checks.equal(first.stream_version, 0, &format!("eappend by {url}"));
    let event = conn.eget(first.event_id)?.ok_or("no event")?;
    checks.equal((event.payload, event.metadata), (b"\xa1\x61a\x01".to_vec(), b"\xa0".to_vec()), "eget of CBOR");
    checks.equal(conn.escan(&id, 0, None, None)?.events.len(), 1, "escan");
    let many = conn.emappend(Uuid::new_v4(), &[EMAppendEvent::new(stream("a"), "A"), EMAppendEvent::new(stream("b"), "B")])?;
    checks.equal(many.events.len(), 2, "emappend");
    checks.equal(conn.hello(3)?.num_partitions, 32, "hello");
    checks.equal(conn.esver(&id)?, Some(0), "esver");
    Ok(())
}

/// A stream that a subscription is about, with events of versions 0 to 4 and what they have.
#[derive(Clone)]
struct Case {
    conn: MultiplexedConnection,
    stream: String,
    key: Uuid,
    partition: u16,
    sequence: u64,
    versions: u64,
}

impl Case {
    async fn new(conn: &MultiplexedConnection) -> Result<Case, Failure> {
        let (mut conn, stream, key) = (conn.clone(), stream("case"), Uuid::new_v4());
        let events: Vec<_> = (0..5).map(|_| EMAppendEvent::new(stream.as_str(), "E")).collect();
        let many = conn.emappend(key, &events).await?;
        Ok(Case { conn, stream, key, partition: many.partition_id, sequence: many.first_partition_sequence, versions: 5 })
    }

    async fn append(&mut self) -> Result<(), Failure> {
        let info = self.conn.eappend(&self.stream, "E", EAppendOptions::new().partition_key(self.key)).await?;
        self.versions = info.stream_version + 1;
        Ok(())
    }
}

/// The next event of the stream: its version and the cursor.  None: there was none in time.
async fn next(subscription: &mut EventSubscription, stream: &str, time: Duration) -> Option<(u64, u64)> {
    let wait = async {
        while let Some(message) = subscription.next_message().await {
            match message {
                SierraMessage::Event { event, cursor } if event.stream_id == stream => return Some((event.stream_version, cursor)),
                _ => (),
            }
        }
        None
    };
    tokio::time::timeout(time, wait).await.unwrap_or(None)
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(150);

/// A subscription delivers the events of its stream from this version, then one that is appended, each once.
/// With a window of 2 it waits for acknowledgements.
async fn check_delivery(
    checks: &mut Checks,
    name: &str,
    case: &mut Case,
    subscribe: impl Future<Output = RedisResult<EventSubscription>>,
    from: u64,
    window: bool,
) -> Result<(), Failure> {
    let mut subscription = match tokio::time::timeout(LONG, subscribe).await? {
        Ok(subscription) => subscription,
        Err(error) if error.is_timeout() => return Err(error.into()),
        Err(error) => {
            checks.ok(false, name, &error);
            return Ok(());
        }
    };
    let confirmed = tokio::time::timeout(LONG, subscription.next_message()).await?;
    let is_confirmed = matches!(confirmed, Some(SierraMessage::SubscriptionConfirmed { subscription_count: 1.. }));
    checks.ok(is_confirmed, &format!("{name}: confirmed"), &confirmed);
    if window && from == case.versions {
        for _ in 0..2 {
            case.append().await?;
        }
    }
    case.append().await?;
    let mut found = Vec::new();
    let mut unacknowledged = 0;
    while (found.len() as u64) < case.versions - from {
        if window && unacknowledged == 2 {
            let more = next(&mut subscription, &case.stream, SHORT).await;
            checks.ok(more.is_none(), &format!("{name}: the window is full"), &more);
            subscription.acknowledge_up_to_cursor(found.last().map_or(0, |&(_, cursor)| cursor)).await?;
            unacknowledged = 0;
        }
        match next(&mut subscription, &case.stream, LONG).await {
            Some(event) => found.push(event),
            None => break,
        }
        unacknowledged += 1;
    }
    let versions: Vec<_> = found.iter().map(|&(version, _)| version).collect();
    checks.equal(versions, (from..case.versions).collect(), name);
    if from > 0 || window {
        let cursors: Vec<_> = found.iter().map(|&(_, cursor)| cursor).collect();
        checks.ok(cursors.windows(2).all(|pair| pair[0] < pair[1]), &format!("{name}: cursors grow"), &cursors);
    }
    subscription.unsubscribe().await?;
    Ok(())
}

/// Calls check_delivery() with a call of a new manager, and a case of its own.
macro_rules! deliver {
    ($checks:ident, $url:ident, $conn:ident, $from:expr, $window:expr, |$manager:ident, $case:ident| $call:expr) => {{
        patiently!(async {
            let mut manager: SubscriptionManager = Client::open($url)?.subscription_manager().await?;
            let mut case = Case::new($conn).await?;
            let ($manager, $case) = (&mut manager, case.clone());
            check_delivery($checks, stringify!($call), &mut case, $call, $from, $window).await
        })?;
    }};
}

async fn check_streams(checks: &mut Checks, url: &str, conn: &MultiplexedConnection) -> Result<(), Failure> {
    deliver!(checks, url, conn, 5, false, |manager, case| manager.subscribe_to_stream(case.stream.as_str()));
    deliver!(checks, url, conn, 5, true, |manager, case| manager.subscribe_to_stream_with_window(case.stream.as_str(), 2));
    deliver!(checks, url, conn, 5, false, |manager, case| manager.subscribe_to_stream_from_latest(case.stream.as_str()));
    deliver!(checks, url, conn, 2, false, |manager, case| manager.subscribe_to_stream_from_version(case.stream.as_str(), 2));
    deliver!(checks, url, conn, 0, true, |manager, case| manager.subscribe_to_stream_from_version_with_window(case.stream.as_str(), 0, 2));
    deliver!(checks, url, conn, 5, false, |manager, case| manager.subscribe_to_stream_with_partition_key(case.stream.as_str(), case.key));
    deliver!(checks, url, conn, 5, true, |manager, case| manager.subscribe_to_stream_with_partition_key_and_window(case.stream.as_str(), case.key, 2));
    deliver!(checks, url, conn, 1, false, |manager, case| manager.subscribe_to_stream_with_partition_and_version(case.stream.as_str(), case.key, 1));
    deliver!(checks, url, conn, 1, true, |manager, case| manager.subscribe_to_stream_with_partition_and_version_and_window(case.stream.as_str(), case.key, 1, 2));
    Ok(())
}

async fn check_partitions(checks: &mut Checks, url: &str, conn: &MultiplexedConnection) -> Result<(), Failure> {
    deliver!(checks, url, conn, 5, false, |manager, case| manager.subscribe_to_partition(case.partition));
    deliver!(checks, url, conn, 5, true, |manager, case| manager.subscribe_to_partition_with_window(case.partition, 2));
    deliver!(checks, url, conn, 5, false, |manager, case| manager.subscribe_to_partition_key(case.key));
    deliver!(checks, url, conn, 5, true, |manager, case| manager.subscribe_to_partition_key_with_window(case.key, 2));
    deliver!(checks, url, conn, 1, false, |manager, case| manager.subscribe_to_partition_from_sequence(case.partition, case.sequence + 1));
    deliver!(checks, url, conn, 1, true, |manager, case| manager.subscribe_to_partition_from_sequence_with_window(case.partition, case.sequence + 1, 2));
    deliver!(checks, url, conn, 1, false, |manager, case| manager.subscribe_to_partition_key_from_sequence(case.key, case.sequence + 1));
    deliver!(checks, url, conn, 1, true, |manager, case| manager.subscribe_to_partition_key_from_sequence_with_window(case.key, case.sequence + 1, 2));
    Ok(())
}

async fn check_many_partitions(checks: &mut Checks, url: &str, conn: &MultiplexedConnection) -> Result<(), Failure> {
    let (none, two) = (None::<u32>, Some(2_u32));
    let map = |case: &Case| HashMap::from([(case.partition, case.sequence + 2)]);
    let other = |case: &Case| HashMap::from([((case.partition + 1) % 32, 1_000_000_u64)]);
    deliver!(checks, url, conn, 5, false, |manager, _case| manager.subscribe_to_all_partitions_from_latest());
    deliver!(checks, url, conn, 0, false, |manager, _case| manager.subscribe_to_all_partitions(0, none));
    deliver!(checks, url, conn, 2, true, |manager, case| manager.subscribe_to_partitions_with_sequences(map(&case), two));
    deliver!(checks, url, conn, 2, false, |manager, case| manager.subscribe_to_all_partitions_with_fallback(map(&case), 0, none));
    deliver!(checks, url, conn, 0, false, |manager, case| manager.subscribe_to_all_partitions_with_fallback(other(&case), 0, none));
    deliver!(checks, url, conn, 2, true, |manager, case| manager.subscribe_to_all_partitions_flexible(map(&case), None, two));
    deliver!(checks, url, conn, 0, false, |manager, _case| manager.subscribe_to_all_partitions_flexible(HashMap::new(), Some(0), none));
    deliver!(checks, url, conn, 5, false, |manager, case| manager.subscribe_to_all_partitions_flexible(other(&case), None, none));
    deliver!(checks, url, conn, 1, true, |manager, case| manager.subscribe_to_partition_range(case.partition, case.partition, case.sequence + 1, two));
    Ok(())
}

/// Several subscriptions of a connection, as a program has them, and one word that names several partitions.
async fn check_mixed(checks: &mut Checks, url: &str, conn: &MultiplexedConnection) -> Result<(), Failure> {
    let mut manager = Client::open(url)?.subscription_manager().await?;
    let mut case = Case::new(conn).await?;
    let mut of_stream = manager.subscribe_to_stream_from_version(case.stream.as_str(), 0).await?;
    let list = format!("{},{},{}", case.partition, (case.partition + 1) % 32, 689);
    let mut of_list = manager.subscribe_to_partitions(&list, case.sequence, None).await?;
    let mut of_all = manager.subscribe_to_partitions("*", 0, None).await?;
    case.append().await?;
    for (name, subscription) in [("a stream", &mut of_stream), ("a list", &mut of_list), ("all", &mut of_all)] {
        let mut found = Vec::new();
        while found.len() < 6 {
            match next(subscription, &case.stream, LONG).await {
                Some((version, _)) => found.push(version),
                None => break,
            }
        }
        checks.equal(found, (0..6).collect(), &format!("three subscriptions at once: {name}"));
    }
    Ok(())
}

/// What redis-rs does to connect, with RESP3 and without: a login, and the number of a database.
async fn check_connect(checks: &mut Checks, ports: &[String]) -> Result<(), Failure> {
    let [port, tutorial, guarded] = ports else { return Err("three ports are needed".into()) };
    for query in ["?protocol=resp3", ""] {
        let ada = Client::open(format!("redis://ada:secret@127.0.0.1:{guarded}/{query}"))?;
        checks.equal(connect(&ada).await?.ping().await?, "PONG".to_string(), &format!("a login {query}"));
        checks.equal(TypedCommands::ping(&mut ada.get_connection()?)?, "PONG".to_string(), &format!("a login, not async {query}"));
        let stranger = Client::open(format!("redis://ada:wrong@127.0.0.1:{guarded}/{query}"))?;
        let refused = connect(&stranger).await.err();
        // HELLO of RESP3 passes on the error of the server; AUTH makes one of its own.
        let is_refused = refused.as_ref().is_some_and(|error| {
            error.kind() == redis::ErrorKind::AuthenticationFailed || error.code() == Some("WRONGPASS")
        });
        checks.ok(is_refused, &format!("a wrong password {query}"), &refused);
        for (path, name) in [(format!("{port}/1{query}"), "database 1"), (format!("{tutorial}/{query}"), "a listener")] {
            let mut conn = connect(&Client::open(format!("redis://127.0.0.1:{path}"))?).await?;
            let version: i64 = redis::cmd("EAPPEND").arg(stream("t")).arg("A").query_async(&mut conn).await?;
            checks.equal(version, 1, &format!("the tutorial dialect by {name} {query}"));
        }
        let other = Client::open(format!("redis://127.0.0.1:{port}/9{query}"))?;
        checks.ok(connect(&other).await.is_err(), &format!("a database that is not there {query}"), &"a connection");
    }
    Ok(())
}

/// The client sorts errors by their codes.
async fn check_errors(checks: &mut Checks, url: &str) -> Result<(), Failure> {
    let client = Client::open(url)?;
    let mut conn = connect(&client).await?;
    let sorts = |error: SierraError| (error.is_client_error(), error.is_cluster_issue(), error.is_retryable());
    let found = conn.eappend("", "E", EAppendOptions::new()).await.map_err(SierraError::from).map_err(sorts).err();
    checks.equal(found, Some((true, false, false)), "a wrong argument is an error of the client");
    let found = conn.epseq_by_id(600).await.map_err(SierraError::from).map_err(sorts).err();
    checks.equal(found, Some((false, true, false)), "a partition that is not there is one of the cluster");
    let (id, version) = (stream("order"), EAppendOptions::new().expected_version(ExpectedVersion::Exact(7)));
    let found = conn.eappend(&id, "E", version).await.map_err(SierraError::from).map_err(sorts).err();
    checks.equal(found, Some((false, false, false)), "a conflict is neither, and not repeated as it is");
    checks.equal(refusal(conn.eack(Uuid::new_v4(), 1).await).0, Some(ErrorCode::NotFound), "eack of no subscription");
    let unknown = redis::cmd("NOSUCH").query_async::<()>(&mut conn).await;
    checks.equal(refusal(unknown).0, Some(ErrorCode::InvalidArg), "an unknown command");

    let mut manager = client.subscription_manager().await?;
    let subscription = manager.subscribe_to_stream(&id).await?;
    checks.equal(conn.eack(subscription.subscription_id(), 0).await?, "OK".to_string(), "eack on another connection");
    Ok(())
}

async fn check_everything(checks: &mut Checks, ports: &[String]) -> Result<(), Failure> {
    check_connect(checks, ports).await?;
    let port = &ports[0];
    let url = format!("redis://127.0.0.1:{port}?protocol=resp3");
    let url = url.as_str();
    let mut conn = connect(&Client::open(url)?).await?;
    patiently!(check_errors(checks, url))?;
    check_appends(checks, &mut conn).await?;
    check_batches(checks, &mut conn).await?;
    check_sync(checks, url)?;
    check_sync(checks, &format!("redis://127.0.0.1:{port}/"))?;
    check_streams(checks, url, &conn).await?;
    check_partitions(checks, url, &conn).await?;
    check_many_partitions(checks, url, &conn).await?;
    patiently!(check_mixed(checks, url, &conn))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let ports: Vec<String> = std::env::args().skip(1).collect();
    let mut checks = Checks::default();
    if let Err(error) = check_everything(&mut checks, &ports).await {
        checks.ok(false, "the program runs to its end", &error);
    }
    println!("done {}", checks.count);
}
