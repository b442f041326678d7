// Prints the SQL that creates Emmett's event store, as the package exports it.
import { schemaSQL } from '@event-driven-io/emmett-postgresql';

process.stdout.write(schemaSQL.map((statement) => `${statement};\n`).join(''));
