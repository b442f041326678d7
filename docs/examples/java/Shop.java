// Orders are streams of events; a table has their totals. See ../README.md.
import com.fasterxml.jackson.databind.ObjectMapper;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;

public class Shop {
    static final String WRONG_VERSION = "SE001";
    static final String CONDITION_FAILED = "SE009";
    static final ObjectMapper JSON = new ObjectMapper();

    record Event(long version, String name, String data) {}

    record Delivered(long position, String stream, String name, String price) {}

    static Connection connect() throws SQLException {
        return DriverManager.getConnection("jdbc:" + System.getenv("DATABASE_URL"));
    }

    /** A statement with its parameters; strings go as varchar, which all types of the extension accept. */
    static PreparedStatement prepare(Connection connection, String sql, Object... values) throws SQLException {
        PreparedStatement statement = connection.prepareStatement(sql);
        for (int i = 0; i < values.length; i++) {
            statement.setObject(i + 1, values[i]);
        }
        return statement;
    }

    /** Appends an event and returns its version. */
    static long append(Connection connection, String sql, Object... values) throws SQLException {
        try (var statement = prepare(connection, "SELECT stream_version FROM " + sql, values);
                ResultSet result = statement.executeQuery()) {
            result.next();
            return result.getLong(1);
        }
    }

    /** The events of a stream in their order. */
    static List<Event> read(Connection connection, String stream) throws SQLException {
        var events = new ArrayList<Event>();
        try (var statement = prepare(connection, """
                SELECT stream_version, event_name,
                       concat_ws(' ', payload->>'item', payload->>'price', payload->>'coupon')
                  FROM escan(?)""", stream);
                ResultSet rows = statement.executeQuery()) {
            while (rows.next()) {
                events.add(new Event(rows.getLong(1), rows.getString(2), rows.getString(3)));
            }
        }
        return events;
    }

    /** Reads, decides, and appends with the version that it has read; on a conflict, begins again. */
    static String add(String order, String item, int price) throws Exception {
        String stream = "order-" + order;
        try (Connection connection = connect()) {
            while (true) {
                List<Event> events = read(connection, stream);
                if (events.stream().anyMatch(event -> event.name().equals("OrderPaid"))) {
                    return stream + " is paid";
                }
                String expected = events.isEmpty() ? "empty" : "" + events.get(events.size() - 1).version();
                try {
                    long version = append(connection, "eappend(?, 'ItemAdded', ?, expected_version => ?)",
                            stream, JSON.writeValueAsString(Map.of("item", item, "price", price)), expected);
                    return stream + ": " + item + ", version " + version;
                } catch (SQLException error) {
                    if (!WRONG_VERSION.equals(error.getSQLState())) {
                        throw error;
                    }
                }
            }
        }
    }

    /** Appends an event with an id: if the answer is lost, the same call again stores nothing twice. */
    static String pay(String order, UUID payment) throws Exception {
        while (true) {
            try (Connection connection = connect()) {
                long version = append(connection, "eappend(?, 'OrderPaid', event_id => ?)", "order-" + order, payment);
                return "order-" + order + ": paid, version " + version;
            } catch (SQLException error) {
                if (!isTransient(error)) {
                    throw error;
                }
                System.err.println("connecting again: " + error.getMessage());
                Thread.sleep(1000);
            }
        }
    }

    /** Appends an event unless any stream has one with the same tag. */
    static String redeem(String order, String coupon) throws Exception {
        String[] tags = {"coupon:" + coupon};
        var condition = Map.of("query", List.of(Map.of("tags", tags)), "after", -1);
        try (Connection connection = connect()) {
            long version = append(connection, "eappend(?, 'CouponRedeemed', ?, tags => ?, condition => ?)",
                    "order-" + order, JSON.writeValueAsString(Map.of("coupon", coupon)),
                    connection.createArrayOf("text", tags), JSON.writeValueAsString(condition));
            return "order-" + order + ": " + coupon + ", version " + version;
        } catch (SQLException error) {
            if (!CONDITION_FAILED.equals(error.getSQLState())) {
                throw error;
            }
            return coupon + " was redeemed before";
        }
    }

    static String show(String order) throws SQLException {
        try (Connection connection = connect()) {
            var lines = new ArrayList<String>();
            for (Event event : read(connection, "order-" + order)) {
                lines.add((event.version() + " " + event.name() + " " + event.data()).strip());
            }
            return String.join("\n", lines);
        }
    }

    /** Keeps the table order_totals up to date; each event counts exactly once. */
    static void totals(String consumer) throws InterruptedException {
        while (true) {
            try (Connection connection = connect(); var statement = connection.createStatement()) {
                statement.execute("CREATE TABLE IF NOT EXISTS order_totals"
                        + " (stream_id text PRIMARY KEY, events bigint NOT NULL, total bigint NOT NULL)");
                statement.execute("SELECT esub('order-totals', streams => ARRAY['order-*'],"
                        + " start_from => 'earliest', max_attempts => 3)");
                connection.setAutoCommit(false);
                while (true) {
                    for (Delivered event : consume(connection, consumer)) {
                        System.out.println(event.stream() + " " + event.name());
                    }
                }
            } catch (SQLException error) {
                System.err.println("connecting again: " + error.getMessage());
                Thread.sleep(1000);
            }
        }
    }

    /** Waits for events, counts and acknowledges them in one transaction: all of it, or nothing. */
    static List<Delivered> consume(Connection connection, String consumer) throws SQLException {
        var events = new ArrayList<Delivered>();
        try (var statement = prepare(connection, """
                SELECT global_position, stream_id, event_name, payload->>'price'
                  FROM enext('order-totals', wait => '10 seconds', consumer => ?)""", consumer);
                ResultSet rows = statement.executeQuery()) {
            while (rows.next()) {
                events.add(new Delivered(rows.getLong(1), rows.getString(2), rows.getString(3), rows.getString(4)));
            }
        }
        var done = new ArrayList<Delivered>();
        Delivered failed = null;
        String reason = null;
        for (Delivered event : events) {
            var savepoint = connection.setSavepoint();  // a failure takes back only this event
            try {
                count(connection, event);
            } catch (SQLException error) {
                if (isTransient(error)) {
                    throw error;
                }
                connection.rollback(savepoint);
                failed = event;
                reason = error.getMessage();
                break;
            }
            connection.releaseSavepoint(savepoint);
            done.add(event);
        }
        if (!done.isEmpty()) {
            run(connection, "SELECT eack('order-totals', ?, ?)", done.get(done.size() - 1).position(), consumer);
        }
        if (failed != null) {
            run(connection, "SELECT enack('order-totals', ?, reason => ?, consumer => ?)",
                    failed.position(), reason, consumer);
        }
        connection.commit();
        return done;
    }

    static void count(Connection connection, Delivered event) throws SQLException {
        run(connection, """
                INSERT INTO order_totals AS t VALUES (?, 1, coalesce(?::bigint, 0))
                ON CONFLICT (stream_id) DO UPDATE SET events = t.events + 1, total = t.total + excluded.total""",
                event.stream(), event.price());
    }

    static void run(Connection connection, String sql, Object... values) throws SQLException {
        try (var statement = prepare(connection, sql, values)) {
            statement.execute();
        }
    }

    /** Whether it is not the fault of the statement: a deadlock, a lost connection. */
    static boolean isTransient(SQLException error) {
        return error.getSQLState() == null || error.getSQLState().matches("(08|40|53|55|57|58)...");
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "add" -> System.out.println(add(args[1], args[2], Integer.parseInt(args[3])));
            case "pay" -> System.out.println(pay(args[1], UUID.fromString(args[2])));
            case "redeem" -> System.out.println(redeem(args[1], args[2]));
            case "show" -> System.out.println(show(args[1]));
            case "totals" -> totals(args.length > 1 ? args[1] : null);
            default -> throw new IllegalArgumentException(args[0]);
        }
    }
}
