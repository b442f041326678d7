//! Orders are streams of events; a table has their totals. See ../README.md.
use std::{env, error::Error, time::Duration};

use serde_json::json;
use tokio_postgres::{Client, NoTls, Row};
use uuid::Uuid;

const WRONG_VERSION: &str = "SE001";
const CONDITION_FAILED: &str = "SE009";

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

async fn connect() -> Result<Client, tokio_postgres::Error> {
    let url = env::var("DATABASE_URL").expect("DATABASE_URL is set");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    // If the connection is lost, the statements of the client fail.
    tokio::spawn(connection);
    Ok(client)
}

struct Event {
    version: i64,
    name: String,
    data: String,
}

/// The events of a stream in their order.
async fn read(client: &Client, stream: &str) -> Result<Vec<Event>> {
    let rows = client
        .query(
            "SELECT stream_version, event_name,
                    concat_ws(' ', payload->>'item', payload->>'price', payload->>'coupon')
               FROM escan($1)",
            &[&stream],
        )
        .await?;
    Ok(rows.iter().map(|row| Event { version: row.get(0), name: row.get(1), data: row.get(2) }).collect())
}

/// Reads, decides, and appends with the version that it has read; on a conflict, begins again.
async fn add(order: &str, item: &str, price: i64) -> Result<String> {
    let client = connect().await?;
    let stream = format!("order-{order}");
    loop {
        let events = read(&client, &stream).await?;
        if events.iter().any(|event| event.name == "OrderPaid") {
            return Ok(format!("{stream} is paid"));
        }
        let expected = events.last().map_or("empty".to_string(), |event| event.version.to_string());
        // With the casts, the driver knows the types of the parameters.
        let added = client
            .query_one(
                "SELECT stream_version FROM eappend($1, 'ItemAdded', $2::json, expected_version => $3::text)",
                &[&stream, &json!({"item": item, "price": price}), &expected],
            )
            .await;
        match added {
            Ok(row) => return Ok(format!("{stream}: {item}, version {}", row.get::<_, i64>(0))),
            Err(error) if state(&error) == WRONG_VERSION => continue,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Appends an event with an id: if the answer is lost, the same call again stores nothing twice.
async fn pay(order: &str, payment: Uuid) -> Result<String> {
    loop {
        match pay_once(order, payment).await {
            Ok(version) => return Ok(format!("order-{order}: paid, version {version}")),
            Err(error) if is_transient(&error) => eprintln!("connecting again: {}", message(&error)),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn pay_once(order: &str, payment: Uuid) -> Result<i64, tokio_postgres::Error> {
    let row = connect()
        .await?
        .query_one(
            "SELECT stream_version FROM eappend($1, 'OrderPaid', event_id => $2)",
            &[&format!("order-{order}"), &payment],
        )
        .await?;
    Ok(row.get(0))
}

/// Appends an event unless any stream has one with the same tag.
async fn redeem(order: &str, coupon: &str) -> Result<String> {
    let tags = vec![format!("coupon:{coupon}")];
    let condition = json!({"query": [{"tags": tags}], "after": -1});
    let redeemed = connect()
        .await?
        .query_one(
            "SELECT stream_version FROM eappend($1, 'CouponRedeemed', $2::json, tags => $3, condition => $4::json)",
            &[&format!("order-{order}"), &json!({"coupon": coupon}), &tags, &condition],
        )
        .await;
    match redeemed {
        Ok(row) => Ok(format!("order-{order}: {coupon}, version {}", row.get::<_, i64>(0))),
        Err(error) if state(&error) == CONDITION_FAILED => Ok(format!("{coupon} was redeemed before")),
        Err(error) => Err(error.into()),
    }
}

async fn show(order: &str) -> Result<String> {
    let events = read(&connect().await?, &format!("order-{order}")).await?;
    let lines: Vec<_> = events.iter().map(|event| format!("{} {} {}", event.version, event.name, event.data)).collect();
    Ok(lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n"))
}

/// Keeps the table order_totals up to date; each event counts exactly once.
async fn totals(consumer: Option<&str>) -> ! {
    loop {
        if let Err(error) = follow(consumer).await {
            eprintln!("connecting again: {}", message(&error));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn follow(consumer: Option<&str>) -> Result<(), tokio_postgres::Error> {
    let mut client = connect().await?;
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS order_totals
                 (stream_id text PRIMARY KEY, events bigint NOT NULL, total bigint NOT NULL);
             SELECT esub('order-totals', streams => ARRAY['order-*'], start_from => 'earliest', max_attempts => 3)",
        )
        .await?;
    loop {
        for event in consume(&mut client, consumer).await? {
            println!("{} {}", event.get::<_, &str>("stream_id"), event.get::<_, &str>("event_name"));
        }
    }
}

/// Waits for events, counts and acknowledges them in one transaction: all of it, or nothing.
async fn consume(client: &mut Client, consumer: Option<&str>) -> Result<Vec<Row>, tokio_postgres::Error> {
    let mut transaction = client.transaction().await?;
    let events = transaction
        .query(
            "SELECT global_position, stream_id, event_name, payload->>'price' AS price
               FROM enext('order-totals', wait => '10 seconds', consumer => $1)",
            &[&consumer],
        )
        .await?;
    let mut done = Vec::new();
    let mut failed = None;
    for event in events {
        // A transaction within a transaction is a savepoint: a failure takes back only this event.
        let savepoint = transaction.transaction().await?;
        match count(&savepoint, &event).await {
            Ok(()) => savepoint.commit().await?,
            Err(error) if is_transient(&error) => return Err(error),
            Err(error) => {
                savepoint.rollback().await?;
                failed = Some((event, message(&error)));
                break;
            }
        }
        done.push(event);
    }
    if let Some(last) = done.last() {
        let position: i64 = last.get("global_position");
        transaction.execute("SELECT eack('order-totals', $1, $2)", &[&position, &consumer]).await?;
    }
    if let Some((event, reason)) = failed {
        let position: i64 = event.get("global_position");
        transaction
            .execute("SELECT enack('order-totals', $1, reason => $2, consumer => $3)", &[&position, &reason, &consumer])
            .await?;
    }
    transaction.commit().await?;
    Ok(done)
}

async fn count(savepoint: &tokio_postgres::Transaction<'_>, event: &Row) -> Result<(), tokio_postgres::Error> {
    savepoint
        .execute(
            "INSERT INTO order_totals AS t VALUES ($1, 1, coalesce($2::text::bigint, 0))
             ON CONFLICT (stream_id) DO UPDATE SET events = t.events + 1, total = t.total + excluded.total",
            &[&event.get::<_, &str>("stream_id"), &event.get::<_, Option<&str>>("price")],
        )
        .await?;
    Ok(())
}

/// What an error is about: the text of one of the server is only "db error".
fn message(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_string())
}

/// The SQLSTATE, empty if the error is not the server's.
fn state(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("", |state| state.code())
}

/// Whether it is not the fault of the statement: a deadlock, a lost connection.
fn is_transient(error: &tokio_postgres::Error) -> bool {
    let state = state(error);
    state.is_empty() || ["08", "40", "53", "55", "57", "58"].contains(&&state[..2])
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = match args[..] {
        ["add", order, item, price] => add(order, item, price.parse()?).await?,
        ["pay", order, payment] => pay(order, payment.parse()?).await?,
        ["redeem", order, coupon] => redeem(order, coupon).await?,
        ["show", order] => show(order).await?,
        ["totals"] => totals(None).await,
        ["totals", consumer] => totals(Some(consumer)).await,
        _ => return Err("usage: shop add|pay|redeem|show|totals ...".into()),
    };
    println!("{output}");
    Ok(())
}
