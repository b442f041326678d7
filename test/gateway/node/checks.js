// Checks that print a line each; test/lib/SierraGateway.pm makes tests of them.
'use strict';

const util = require('util');

let count = 0;

function ok(condition, name, found) {
    count += 1;
    const text = found instanceof Error ? String(found) : util.inspect(found, { depth: 6, breakLength: Infinity });
    console.log(condition ? `ok ${name}` : `not ok ${name}, but: ${text.replace(/\n/g, ' ')}`);
}

function equal(found, expected, name) {
    ok(util.isDeepStrictEqual(plain(found), expected), name, found);
}

// Objects without a prototype, as node-redis makes them, and maps are objects here.
function plain(value) {
    if (Array.isArray(value)) return value.map(plain);
    if (value instanceof Map) return plain(Object.fromEntries(value));
    if (value && typeof value === 'object' && !Buffer.isBuffer(value)) {
        return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
    }
    return value;
}

// A flat list of keys and values, as RESP2 has it, becomes an object.
function fromPairs(list) {
    return Object.fromEntries(Array.from({ length: list.length / 2 }, (_, n) => [list[2 * n], list[2 * n + 1]]));
}

// The message of the error, or undefined.
async function failure(promise) {
    try {
        await promise;
    } catch (error) {
        return String(error.message);
    }
    return undefined;
}

// Waits until a condition holds; the checks after it say whether it does.
async function until(condition) {
    for (let n = 0; n < 600 && !condition(); n += 1) await new Promise((wake) => { setTimeout(wake, 50); });
}

// An exception fails one part, and the next ones run.
async function run(...parts) {
    for (const part of parts) {
        try {
            await part();
        } catch (error) {
            console.error(error);
            ok(false, `${part.name} runs to its end`, error);
        }
    }
    process.stdout.write(`done ${count}\n`, () => process.exit());
}

module.exports = { ok, equal, plain, fromPairs, failure, until, run };
