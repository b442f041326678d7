// Orders are streams of events; a table has their totals. See ../README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	wrongVersion    = "SE001"
	conditionFailed = "SE009"
)

// connected connects, works, and disconnects.
func connected(ctx context.Context, work func(conn *pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return work(conn)
}

type event struct {
	Version    int64
	Name, Data string
}

// read returns the events of a stream in their order.
func read(ctx context.Context, conn *pgx.Conn, stream string) ([]event, error) {
	rows, _ := conn.Query(ctx, `SELECT stream_version, event_name,
		concat_ws(' ', payload->>'item', payload->>'price', payload->>'coupon') FROM escan($1)`, stream)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[event])
}

// add reads, decides, and appends with the version that it has read; on a conflict, it begins again.
func add(ctx context.Context, conn *pgx.Conn, order, item string, price int) error {
	stream := "order-" + order
	payload, err := json.Marshal(map[string]any{"item": item, "price": price})
	for err == nil {
		var events []event
		if events, err = read(ctx, conn, stream); err != nil {
			break
		}
		expected := "empty"
		for _, e := range events {
			if e.Name == "OrderPaid" {
				fmt.Println(stream, "is paid")
				return nil
			}
			expected = strconv.FormatInt(e.Version, 10)
		}
		// Strings are sent as text, so the types of the extension need no cast.
		var version int64
		err = conn.QueryRow(ctx, "SELECT stream_version FROM eappend($1, 'ItemAdded', $2, expected_version => $3)",
			stream, string(payload), expected).Scan(&version)
		if err == nil {
			fmt.Printf("%s: %s, version %d\n", stream, item, version)
			return nil
		}
		if sqlstate(err) == wrongVersion {
			err = nil
		}
	}
	return err
}

// pay appends an event with an id: if the answer is lost, the same call again stores nothing twice.
func pay(ctx context.Context, order, payment string) error {
	for {
		var version int64
		err := connected(ctx, func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, "SELECT stream_version FROM eappend($1, 'OrderPaid', event_id => $2)",
				"order-"+order, payment).Scan(&version)
		})
		if err == nil {
			fmt.Printf("order-%s: paid, version %d\n", order, version)
		}
		if !isTransient(err) {
			return err
		}
		log.Print("connecting again: ", err)
		time.Sleep(time.Second)
	}
}

// redeem appends an event unless any stream has one with the same tag.
func redeem(ctx context.Context, conn *pgx.Conn, order, coupon string) error {
	tags := []string{"coupon:" + coupon}
	payload, _ := json.Marshal(map[string]any{"coupon": coupon})
	condition, _ := json.Marshal(map[string]any{"query": []any{map[string]any{"tags": tags}}, "after": -1})
	var version int64
	err := conn.QueryRow(ctx,
		"SELECT stream_version FROM eappend($1, 'CouponRedeemed', $2, tags => $3, condition => $4)",
		"order-"+order, string(payload), tags, string(condition)).Scan(&version)
	if sqlstate(err) == conditionFailed {
		fmt.Println(coupon, "was redeemed before")
		return nil
	}
	if err == nil {
		fmt.Printf("order-%s: %s, version %d\n", order, coupon, version)
	}
	return err
}

func show(ctx context.Context, conn *pgx.Conn, order string) error {
	events, err := read(ctx, conn, "order-"+order)
	for _, e := range events {
		fmt.Println(strings.TrimSpace(fmt.Sprint(e.Version, " ", e.Name, " ", e.Data)))
	}
	return err
}

type delivered struct {
	Position     int64
	Stream, Name string
	Price        *string
}

// totals keeps the table order_totals up to date; each event counts exactly once.
func totals(ctx context.Context, consumer *string) {
	for {
		err := connected(ctx, func(conn *pgx.Conn) error { return consumeAll(ctx, conn, consumer) })
		log.Print("connecting again: ", err)
		time.Sleep(time.Second)
	}
}

// consumeAll returns when there is an error.
func consumeAll(ctx context.Context, conn *pgx.Conn, consumer *string) error {
	_, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS order_totals
		(stream_id text PRIMARY KEY, events bigint NOT NULL, total bigint NOT NULL)`)
	if err == nil {
		_, err = conn.Exec(ctx, `SELECT esub('order-totals', streams => ARRAY['order-*'],
			start_from => 'earliest', max_attempts => 3)`)
	}
	for err == nil {
		var done []delivered
		if done, err = consume(ctx, conn, consumer); err == nil {
			for _, e := range done {
				fmt.Println(e.Stream, e.Name)
			}
		}
	}
	return err
}

// consume waits for events, counts and acknowledges them in one transaction: all of it, or nothing.
func consume(ctx context.Context, conn *pgx.Conn, consumer *string) (done []delivered, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `SELECT global_position, stream_id, event_name, payload->>'price'
			FROM enext('order-totals', wait => '10 seconds', consumer => $1)`, consumer)
		events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[delivered])
		if err != nil {
			return err
		}
		var failure error
		for _, e := range events {
			// Within a transaction this makes a savepoint: a failure takes back only this event.
			failure = pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error { return count(ctx, savepoint, e) })
			if failure != nil {
				break
			}
			done = append(done, e)
		}
		if isTransient(failure) {
			return failure
		}
		if len(done) > 0 {
			_, err = tx.Exec(ctx, "SELECT eack('order-totals', $1, $2)", done[len(done)-1].Position, consumer)
		}
		if failure != nil && err == nil {
			_, err = tx.Exec(ctx, "SELECT enack('order-totals', $1, reason => $2, consumer => $3)",
				events[len(done)].Position, failure.Error(), consumer)
		}
		return err
	})
	return done, err
}

func count(ctx context.Context, tx pgx.Tx, e delivered) error {
	_, err := tx.Exec(ctx, `INSERT INTO order_totals AS t VALUES ($1, 1, coalesce($2::bigint, 0))
		ON CONFLICT (stream_id) DO UPDATE SET events = t.events + 1, total = t.total + excluded.total`,
		e.Stream, e.Price)
	return err
}

func sqlstate(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// isTransient says whether an error is not the fault of the statement: a deadlock, a lost connection.
func isTransient(err error) bool {
	state := sqlstate(err)
	return err != nil && (state == "" || strings.Contains("08 40 53 55 57 58", state[:2]))
}

func main() {
	ctx := context.Background()
	// An argument that is not there is empty.
	args := append(os.Args[1:], "", "", "", "")
	var err error
	switch args[0] {
	case "pay":
		err = pay(ctx, args[1], args[2])
	case "totals":
		var consumer *string
		if args[1] != "" {
			consumer = &args[1]
		}
		totals(ctx, consumer)
	default:
		err = connected(ctx, func(conn *pgx.Conn) error {
			switch args[0] {
			case "add":
				price, err := strconv.Atoi(args[3])
				if err != nil {
					return err
				}
				return add(ctx, conn, args[1], args[2], price)
			case "redeem":
				return redeem(ctx, conn, args[1], args[2])
			case "show":
				return show(ctx, conn, args[1])
			}
			return errors.New("usage: shop add|pay|redeem|show|totals ...")
		})
	}
	if err != nil {
		log.Fatal(err)
	}
}
