//! What docs/drivers.md says of tokio-postgres: prints each row of its table whose code works as it says.
use std::{env, error::Error, future::Future, time::Duration};

use serde_json::{json, Value};
use tokio_postgres::types::{FromSqlOwned, Json, ToSql};
use tokio_postgres::{AsyncMessage, Client, NoTls};
use uuid::Uuid;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn url() -> String {
    env::var("DATABASE_URL").expect("DATABASE_URL is set")
}

async fn connect(options: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(&format!("{}{options}", url()), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn one<T: FromSqlOwned>(client: &Client, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<T> {
    Ok(client.query_one(sql, values).await?.get(0))
}

async fn row(name: &str, cell: &str, code: impl Future<Output = Result<bool>>) {
    match code.await {
        Ok(true) => println!("{name} | {cell}"),
        Ok(false) => println!("{name} | is not so"),
        Err(error) => println!("{name} | {error:?}"),
    }
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("", |state| state.code())
}

async fn documents(client: &Client) -> Result<bool> {
    let version = "SELECT stream_version FROM eappend('documents', 'x', ";
    let document = json!({"n": 1});
    one::<i64>(client, &format!("{version}$1::json)"), &[&document]).await?;
    one::<i64>(client, &format!("{version}$1::jsonb)"), &[&Json(&document)]).await?;
    one::<i64>(client, &format!("{version}$1::text)"), &[&document.to_string()]).await?;
    let refused = one::<i64>(client, &format!("{version}$1)"), &[&document]).await.is_err();
    let count: i64 = one(client, "SELECT count(*) FROM escan('documents') WHERE (payload->>'n')::int = 1", &[]).await?;
    Ok(refused && count == 3)
}

async fn versions(client: &Client) -> Result<bool> {
    let append = "SELECT stream_version FROM eappend('versions', 'x', expected_version => ";
    let first: i64 = one(client, &format!("{append}$1::text)"), &[&"empty"]).await?;
    let second: i64 = one(client, &format!("{append}$1::bigint)"), &[&first]).await?;
    let refused = one::<i64>(client, &format!("{append}$1)"), &[&second]).await.is_err();
    Ok(second == 1 && refused)
}

async fn payloads(client: &Client) -> Result<bool> {
    let value: Value = one(client, "SELECT payload FROM escan('documents') LIMIT 1", &[]).await?;
    let text: String = one(client, "SELECT payload::text FROM escan('documents') LIMIT 1", &[]).await?;
    Ok(value["n"] == 1 && serde_json::from_str::<Value>(&text)? == value)
}

async fn ids(client: &Client) -> Result<bool> {
    let id = Uuid::parse_str("0191d2f0-5b7c-7c3e-8a51-0f2b6c4d7e99")?;
    let sql = "SELECT event_id FROM eappend('ids', 'x', event_id => $1";
    let by_text: Uuid = one(client, &format!("{sql}::text::uuid)"), &[&id.to_string()]).await?;
    Ok(one::<Uuid>(client, &format!("{sql})"), &[&id]).await? == id && by_text == id)
}

async fn tags(client: &Client) -> Result<bool> {
    let tags = vec!["a".to_string()];
    one::<i64>(client, "SELECT stream_version FROM eappend('tags', 'x', tags => $1)", &[&tags]).await?;
    Ok(one::<Vec<String>>(client, "SELECT tags FROM escan('tags')", &[]).await? == tags)
}

async fn bytes(client: &Client) -> Result<bool> {
    let bytes = vec![0u8, 255];
    one::<i64>(client, "SELECT stream_version FROM eappend('bytes', 'x', payload_bytes => $1)", &[&bytes]).await?;
    Ok(one::<Vec<u8>>(client, "SELECT payload_bytes FROM escan('bytes')", &[]).await? == bytes)
}

async fn times(client: &Client) -> Result<bool> {
    let time = std::time::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    let sql = "SELECT \"timestamp\" FROM eappend('times', 'x', \"timestamp\" => $1)";
    Ok(one::<std::time::SystemTime>(client, sql, &[&time]).await? == time)
}

async fn several(client: &Client) -> Result<bool> {
    let events = json!([{"stream_id": "several", "event_name": "x", "payload": [1]}]);
    let streams = vec!["several", "several"];
    let payloads = vec![Some(json!({"n": 1})), None];
    let sql = "SELECT count(*) FROM emappend(NULL, $1, $2, $3::json[])";
    Ok(one::<i64>(client, "SELECT count(*) FROM emappend(NULL, $1::json)", &[&events]).await? == 1
        && one::<i64>(client, sql, &[&streams, &streams, &payloads]).await? == 2)
}

async fn late(client: &Client) -> Result<bool> {
    one::<i64>(client, "SELECT esub('late')", &[]).await?;
    let other = connect("").await?;
    let wait = other.batch_execute("SELECT FROM enext('late', wait => '1 minute')");
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        other.cancel_token().cancel_query(NoTls).await
    };
    let (waited, cancelled) = tokio::join!(wait, cancel);
    cancelled?;
    other.batch_execute("SET statement_timeout = '100ms'").await?;
    let timed_out = other.batch_execute("SELECT FROM enext('late', wait => '1 minute')").await;
    Ok([waited, timed_out].iter().all(|result| matches!(result, Err(error) if code(error) == "57014")))
}

async fn pooled(client: &Client) -> Result<bool> {
    for _ in 0..9 {
        client.execute("SELECT FROM eappend('pooled', 'x', $1::json)", &[&json!({})]).await?;
    }
    let named: i64 = one(client, "SELECT count(*) FROM pg_prepared_statements", &[]).await?;
    Ok(named > 0)
}

async fn notified(client: &Client) -> Result<bool> {
    let (listener, mut connection) = tokio_postgres::connect(&url(), NoTls).await?;
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = sender.send(notification.payload().to_string());
            }
        }
    });
    listener.batch_execute("LISTEN sierra_es").await?;
    client.execute("SELECT pg_notify('sierra_es', '{}')", &[]).await?;
    Ok(receiver.recv().await.as_deref() == Some("{}"))
}

async fn lost() -> Result<bool> {
    let other = connect("").await?;
    let error = other.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())").await.unwrap_err();
    let again = other.batch_execute("SELECT 1").await.unwrap_err();
    Ok((code(&error) == "57P01" || error.is_closed()) && again.is_closed() && other.is_closed())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = connect("").await?;
    row("a document", "`serde_json::Value` or `Json(value)` with `$1::json`, `String` with `$1::text`", documents(&client)).await;
    row("a document that is an array", "the same", async {
        Ok(one::<i64>(&client, "SELECT stream_version FROM eappend('array', 'x', $1::json)", &[&json!([1, 2])]).await? == 0)
    })
    .await;
    row("an expected version", "`i64` with `$1::bigint`, `String` with `$1::text`", versions(&client)).await;
    row("a position or version that was read", "`i64`", async {
        Ok(one::<i64>(&client, "SELECT ehead()", &[]).await? >= 0)
    })
    .await;
    row("a payload that was read", "`serde_json::Value`; `String` of `payload::text`", payloads(&client)).await;
    row("an event id", "`Uuid`, or `String` with `$1::text::uuid`", ids(&client)).await;
    row("tags", "`Vec<String>`", tags(&client)).await;
    row("bytes", "`Vec<u8>` or `&[u8]`", bytes(&client)).await;
    row("a time", "`SystemTime`, or the types of `chrono`, `time` or `jiff` by a feature", times(&client)).await;
    row("several events", "`emappend(NULL, $1::json)`, or vectors and `$3::json[]`", several(&client)).await;
    row("a wait that takes too long", "`client.cancel_token()`, or `statement_timeout`: code `57014`", late(&client)).await;
    row("behind a pooler", "each query is a prepared statement: the pooler must know them, or pool sessions", pooled(&client)).await;
    row("notifications", "`connection.poll_message()` in place of `tokio::spawn(connection)`", notified(&client)).await;
    row("a lost connection", "`error.is_closed()`, or code `57P01`; `client.is_closed()`", lost()).await;
    Ok(())
}
