# shellcheck shell=bash
# What scripts/package-trial and scripts/image-trial share.  Sourced as root in a Debian that
# is thrown away afterwards, by a script that defines psql_in_shop: psql in the
# database "shop", with further arguments.

scratch=$(mktemp -d)
chmod 755 "$scratch"
steps=0

# Runs a step; $1 says what must be true.  The first that fails ends the script.
step() {
    local what=$1 started=$EPOCHREALTIME milliseconds status
    shift
    steps=$((steps + 1))
    # Not in a condition, where bash would ignore errors within functions.
    set +e
    (set -e && "$@") >"$scratch/log" 2>&1
    status=$?
    set -e
    milliseconds=$(((${EPOCHREALTIME/./} - ${started/./}) / 1000))
    if [ "$status" -eq 0 ]; then
        printf 'ok %d - %s %d ms\n' "$steps" "$what" "$milliseconds"
    else
        printf 'not ok %d - %s %d ms\n' "$steps" "$what" "$milliseconds"
        tail -n 40 "$scratch/log" | sed 's/^/#   /'
        exit 1
    fi
}

fails() {
    local status=0
    "$@" || status=$?
    [ "$status" -ne 0 ]
}

same() {
    [ "$1" = "$2" ] || {
        printf 'got "%s", expected "%s"\n' "$1" "$2"
        return 1
    }
}

as_postgres() { (cd / && setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/var/lib/postgresql "$@"); }

sql() { psql_in_shop -A -t -v ON_ERROR_STOP=1 -c "$1"; }

is_sound() { same "$(sql 'SELECT count(*) FROM everify()')" 0; }

# Runs what README.md ($1) shows under "Getting started", and compares what is printed but for
# widths and empty lines.
run_readme_example() {
    awk -v sql="$scratch/example.sql" -v shown="$scratch/example.out" '
        /^## Getting started/ { on = 1 }
        /^\*\*The words/ { on = 0 }
        /^```/ { file = on && $0 == "```sql" ? sql : on && $0 == "```text" ? shown : ""; next }
        file != "" { print >file }' "$1"
    grep -q eappend "$scratch/example.sql"
    grep -q "wrong expected version" "$scratch/example.out"
    psql_in_shop <"$scratch/example.sql" >"$scratch/printed" 2>&1
    diff <(normalised "$scratch/example.out") <(normalised "$scratch/printed")
}

normalised() { sed -E 's/-{2,}/--/g; s/[[:space:]]+/ /g; s/^ | $//g; /^$/d' "$1"; }

# Whether a runner appends the event of a timer by itself.
timer_fires() {
    local i
    sql "SELECT eschedule(now(), 'timer-$1', 'Rang')"
    for ((i = 0; i < 1800; i++)); do
        [ "$(sql "SELECT count(*) FROM escan('timer-$1')")" = 0 ] || return 0
        sleep 0.1
    done
    return 1
}

# The extension for programs that were written for message-db.
write_message() {
    sql "CREATE EXTENSION sierra_message_store"
    same "$(sql "SELECT message_store.write_message(gen_random_uuid()::text, 'account-1', 'Opened', '{}')")" 0
    sql "DROP EXTENSION sierra_message_store"
    sql "SELECT drop_event_store('message_store', force => true)"
}
