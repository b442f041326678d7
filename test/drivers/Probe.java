// What docs/drivers.md says of JDBC: prints each row of its table whose code works as it says.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.util.PGobject;

public class Probe {
    static Connection connection;

    interface Code {
        boolean works() throws Exception;
    }

    static Connection connect(String options) throws SQLException {
        return DriverManager.getConnection("jdbc:" + System.getenv("DATABASE_URL") + options);
    }

    static <T> T one(Connection connection, Class<T> type, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int i = 0; i < values.length; i++) {
                statement.setObject(i + 1, values[i]);
            }
            try (ResultSet result = statement.executeQuery()) {
                result.next();
                return result.getObject(1, type);
            }
        }
    }

    static <T> T one(Class<T> type, String sql, Object... values) throws SQLException {
        return one(connection, type, sql, values);
    }

    static void row(String name, String cell, Code code) {
        try {
            System.out.println(name + " | " + (code.works() ? cell : "is not so"));
        } catch (Exception error) {
            System.out.println(name + " | " + error);
        }
    }

    static String stateOf(Connection connection, String sql) throws SQLException {
        try (var statement = connection.createStatement()) {
            statement.execute(sql);
            return "";
        } catch (SQLException error) {
            return error.getSQLState();
        }
    }

    static PGobject json(String type, String value) throws SQLException {
        var object = new PGobject();
        object.setType(type);
        object.setValue(value);
        return object;
    }

    static boolean documents() throws SQLException {
        for (Object document : new Object[] {"{\"n\": 1}", json("json", "{\"n\": 1}"), json("jsonb", "{\"n\": 1}"), null}) {
            one(Long.class, "SELECT stream_version FROM eappend('documents', 'x', ?, ?)", document, document);
        }
        return one(Long.class, "SELECT count(*) FROM escan('documents') WHERE (payload->>'n')::int = 1") == 3;
    }

    static boolean versions() throws SQLException {
        String sql = "SELECT stream_version FROM eappend('versions', 'x', expected_version => ?)";
        return one(Long.class, sql, "empty") == 0 && one(Long.class, sql, 0L) == 1 && one(Long.class, sql, "1") == 2;
    }

    static boolean several() throws SQLException {
        var streams = connection.createArrayOf("text", new String[] {"several", "several"});
        var payloads = connection.createArrayOf("json", new String[] {"{\"n\": 1}", null});
        return one(Long.class, "SELECT count(*) FROM emappend(NULL, ?)",
                "[{\"stream_id\": \"several\", \"event_name\": \"x\"}]") == 1
                && one(Long.class, "SELECT count(*) FROM emappend(NULL, ?, ?, ?)", streams, streams, payloads) == 2;
    }

    static boolean late() throws SQLException {
        one(Long.class, "SELECT esub('late')");
        try (Connection other = connect("&socketTimeout=1"); var statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            String state = "";
            try {
                statement.execute("SELECT FROM enext('late', wait => '1 minute')");
            } catch (SQLException error) {
                state = error.getSQLState();
            }
            return state.equals("57014")
                    && stateOf(other, "SELECT FROM enext('late', wait => '3 seconds')").equals("08006") && other.isClosed();
        }
    }

    static boolean pooled() throws SQLException {
        try (Connection other = connect("&prepareThreshold=0")) {
            for (int i = 0; i < 9; i++) {
                one(other, Long.class, "SELECT stream_version FROM eappend('pooled', 'x', ?)", "{}");
            }
            return one(other, Long.class, "SELECT count(*) FROM pg_prepared_statements") == 0;
        }
    }

    static boolean notified() throws SQLException {
        try (Connection listener = connect(""); var statement = listener.createStatement()) {
            statement.execute("LISTEN sierra_es");
            one(String.class, "SELECT pg_notify('sierra_es', '{}')::text");
            return listener.unwrap(PGConnection.class).getNotifications(60_000)[0].getParameter().equals("{}");
        }
    }

    public static void main(String[] args) throws Exception {
        connection = connect("");
        UUID id = UUID.randomUUID();
        OffsetDateTime now = OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.MICROS);
        byte[] bytes = {0, (byte) 255};
        row("a document", "`setString()` or `PGobject` of type `json` or `jsonb`", Probe::documents);
        row("a document that is an array", "the same", () ->
                one(Long.class, "SELECT stream_version FROM eappend('array', 'x', ?)", "[1, 2]") == 0);
        row("an expected version", "`setLong()` or `setString()`: `3`, `\"empty\"`", Probe::versions);
        row("a position or version that was read", "`getLong()`", () -> one(Long.class, "SELECT ehead()") >= 0);
        row("a payload that was read", "`getString()`; or a member in SQL: `payload->>'price'`", () -> {
            try (var statement = connection.createStatement();
                    ResultSet result = statement.executeQuery("SELECT payload, payload->>'n' FROM escan('documents') LIMIT 1")) {
                result.next();
                return result.getString(1).equals("{\"n\": 1}") && result.getLong(2) == 1;
            }
        });
        row("an event id", "`setObject()` with `UUID`; a string with `?::uuid`", () ->
                one(UUID.class, "SELECT event_id FROM eappend('ids', 'x', event_id => ?)", id).equals(id)
                && one(UUID.class, "SELECT event_id FROM eappend('ids', 'x', event_id => ?::uuid)", id.toString()).equals(id));
        row("tags", "`connection.createArrayOf(\"text\", …)`", () ->
                one(Long.class, "SELECT stream_version FROM eappend('tags', 'x', tags => ?)",
                        connection.createArrayOf("text", new String[] {"a"})) == 0
                && one(String.class, "SELECT tags[1] FROM escan('tags')").equals("a"));
        row("bytes", "`setBytes()`", () ->
                one(Long.class, "SELECT stream_version FROM eappend('bytes', 'x', payload_bytes => ?)", (Object) bytes) == 0
                && Arrays.equals(one(byte[].class, "SELECT payload_bytes FROM escan('bytes')"), bytes));
        row("a time", "`setObject()` with `OffsetDateTime`, of which microseconds are kept", () ->
                one(OffsetDateTime.class, "SELECT \"timestamp\" FROM eappend('times', 'x', \"timestamp\" => ?)", now).isEqual(now));
        row("several events", "`emappend(NULL, ?)` with `setString()`, or arrays of `text` and `json`", Probe::several);
        row("a wait that takes too long", "`setQueryTimeout()`: SQLSTATE `57014`; `socketTimeout` must be longer than the wait",
                Probe::late);
        row("behind a pooler", "`prepareThreshold=0`", Probe::pooled);
        row("notifications", "`PGConnection.getNotifications(10_000)`, with autocommit", Probe::notified);
        row("a lost connection", "SQLSTATE of class 08, or `57P01`; `connection.isClosed()`", () -> {
            try (Connection other = connect("")) {
                String state = stateOf(other, "SELECT pg_terminate_backend(pg_backend_pid())");
                return (state.startsWith("08") || state.equals("57P01")) && !other.isValid(1);
            }
        });
        connection.close();
    }
}
