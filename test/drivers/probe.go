// What docs/drivers.md says of pgx: prints each row of its table whose code works as it says.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	ctx  = context.Background()
	conn = connect("")
)

func connect(options string) *pgx.Conn {
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL")+options)
	if err != nil {
		panic(err)
	}
	return conn
}

func one[T any](sql string, values ...any) (value T, err error) {
	err = conn.QueryRow(ctx, sql, values...).Scan(&value)
	return value, err
}

// must is for statements that a row needs, but does not show.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func row(name, cell string, code func() bool) {
	defer func() {
		if err := recover(); err != nil {
			fmt.Println(name, "|", err)
		}
	}()
	if !code() {
		cell = "is not so"
	}
	fmt.Println(name, "|", cell)
}

func main() {
	row("a document", "a string of JSON; any value with `$1::json`", func() bool {
		must(one[int64]("SELECT stream_version FROM eappend('documents', 'x', $1, $2)", `{"n": 1}`, nil))
		must(one[int64]("SELECT stream_version FROM eappend('documents', 'x', $1::json)", map[string]any{"n": 1}))
		_, err := one[int64]("SELECT stream_version FROM eappend('documents', 'x', $1)", map[string]any{"n": 1})
		return err != nil && must(one[int64]("SELECT count(*) FROM escan('documents') WHERE (payload->>'n')::int = 1")) == 2
	})
	row("a document that is an array", "the same", func() bool {
		return must(one[int64]("SELECT stream_version FROM eappend('array', 'x', $1::json)", []int{1, 2})) == 0 &&
			must(one[int64]("SELECT stream_version FROM eappend('array', 'x', $1)", "[1, 2]")) == 1
	})
	row("an expected version", "a string: `\"3\"`, `\"empty\"`; an integer with `$1::bigint`", func() bool {
		version := must(one[int64]("SELECT stream_version FROM eappend('versions', 'x', expected_version => $1)", "empty"))
		version = must(one[int64]("SELECT stream_version FROM eappend('versions', 'x', expected_version => $1::bigint)", version))
		return must(one[int64]("SELECT stream_version FROM eappend('versions', 'x', expected_version => $1)", fmt.Sprint(version))) == 2
	})
	row("a position or version that was read", "`int64`", func() bool {
		return must(one[int64]("SELECT ehead()")) >= 0
	})
	row("a payload that was read", "a map, a struct, `[]byte` or `*string`", func() bool {
		sql := "SELECT payload FROM escan('documents') LIMIT 1"
		type payload struct{ N int }
		return must(one[map[string]any](sql))["n"] == 1.0 && must(one[payload](sql)).N == 1 &&
			string(must(one[[]byte](sql))) == `{"n": 1}` && *must(one[*string](sql)) == `{"n": 1}`
	})
	row("an event id", "a string, `[16]byte` or `pgtype.UUID`", func() bool {
		id := "0191d2f0-5b7c-7c3e-8a51-0f2b6c4d7e99"
		bytes := must(one[[16]byte]("SELECT event_id FROM eappend('ids', 'x', event_id => $1)", id))
		return must(one[string]("SELECT event_id FROM eappend('ids', 'x', event_id => $1)", bytes)) == id
	})
	row("tags", "`[]string`", func() bool {
		must(one[int64]("SELECT stream_version FROM eappend('tags', 'x', tags => $1)", []string{"a"}))
		return must(one[[]string]("SELECT tags FROM escan('tags')"))[0] == "a"
	})
	row("bytes", "`[]byte`", func() bool {
		must(one[int64]("SELECT stream_version FROM eappend('bytes', 'x', payload_bytes => $1)", []byte{0, 255}))
		return bytes.Equal(must(one[[]byte]("SELECT payload_bytes FROM escan('bytes')")), []byte{0, 255})
	})
	row("a time", "`time.Time`, of which microseconds are kept", func() bool {
		now := time.Now()
		return must(one[time.Time](`SELECT "timestamp" FROM eappend('times', 'x', "timestamp" => $1)`, now)).Equal(now.Truncate(time.Microsecond))
	})
	row("several events", "`emappend(NULL, $1::json)` with a slice, or slices and `$3::json[]`", func() bool {
		events := []map[string]any{{"stream_id": "several", "event_name": "x", "payload": []int{1}}, {"stream_id": "several", "event_name": "y"}}
		return must(one[int64]("SELECT count(*) FROM emappend(NULL, $1::json)", events)) == 2 &&
			must(one[int64]("SELECT count(*) FROM emappend(NULL, $1, $2, $3::json[])", []string{"several", "several"},
				[]string{"x", "y"}, []map[string]any{{"n": 1}, nil})) == 2
	})
	row("a wait that takes too long", "a context with a deadline, which closes the connection; `statement_timeout`: code `57014`", func() bool {
		must(one[int64]("SELECT esub('late')"))
		other := connect("&statement_timeout=100")
		_, err := other.Exec(ctx, "SELECT FROM enext('late', wait => '1 minute')")
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "57014" {
			return false
		}
		other.Close(ctx)
		other = connect("")
		deadline, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		_, err = other.Exec(deadline, "SELECT FROM enext('late', wait => '2 seconds')")
		return errors.Is(err, context.DeadlineExceeded) && other.IsClosed()
	})
	row("behind a pooler", "`default_query_exec_mode=exec`; then `$1` without a cast takes strings only", func() bool {
		other := connect("&default_query_exec_mode=exec")
		defer other.Close(ctx)
		var count int64
		for i := 0; i < 9; i++ {
			must(other.Exec(ctx, "SELECT FROM eappend('pooled', 'x', $1)", "{}"))
		}
		err := other.QueryRow(ctx, "SELECT count(*) FROM pg_prepared_statements").Scan(&count)
		return err == nil && count == 0
	})
	row("notifications", "`conn.WaitForNotification(ctx)`", func() bool {
		listener := connect("")
		defer listener.Close(ctx)
		must(listener.Exec(ctx, "LISTEN sierra_es"))
		must(conn.Exec(ctx, "SELECT pg_notify('sierra_es', '{}')"))
		return must(listener.WaitForNotification(ctx)).Payload == "{}"
	})
	row("a lost connection", "an error that is not a `*pgconn.PgError`, or one with code `57P01`; `conn.IsClosed()`", func() bool {
		other := connect("")
		_, err := other.Exec(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
		var e *pgconn.PgError
		return err != nil && (!errors.As(err, &e) || e.Code == "57P01") && other.IsClosed()
	})
}
