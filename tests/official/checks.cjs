// What the scripts share: each check is one line of JSON on stdout, the last line says that the script came to its end.
'use strict';

const assert = require('node:assert/strict');

// Some clients talk; stdout is for results.
console.log = console.info = console.error;

const checks = [];

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// Adds a check. They run in this order, and a failed one does not keep the next from running.
const check = (name, act) => checks.push({ name, act });

const told = (error) =>
  error instanceof assert.AssertionError || !error?.data
    ? String(error?.message ?? JSON.stringify(error))
    : `${error.status} ${JSON.stringify(error.data)}`;

// What a refused call rejects with.
const refusal = async (call) => {
  const [outcome] = await Promise.allSettled([call]);
  assert.equal(outcome.status, 'rejected', 'the call was not refused');
  return outcome.reason;
};

// The sandbox's control surface: what people do there, and what goes wrong.
const control = (url) => async (path, body) => {
  const asked = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(`${url}/_control/${path}`, asked);
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer;
};

const run = async () => {
  for (const { name, act } of checks) {
    try {
      await act();
      say({ check: name, passed: true });
    } catch (error) {
      say({ check: name, passed: false, detail: told(error) });
    }
  }
  say({ ended: true });
};

module.exports = { assert, check, control, refusal, run };
