// A handler in one file, with only Node's standard library: checks the signature, drops repeats, reads the event.
//
//     FEEDBACK_LOOP_SECRET=whsec_… node handler.js 9000
//
// The loop's URL is then http://127.0.0.1:9000/. Put its verification file next to this script.

const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const key = Buffer.from((process.env.FEEDBACK_LOOP_SECRET ?? '').replace(/^whsec_/, ''), 'base64');
if (key.length === 0) throw new Error("FEEDBACK_LOOP_SECRET must be the loop's secret, whsec_…");
// The same event may come twice, with the same id. A real handler uses a table with a unique column.
const seen = new Set();

// Standard Webhooks 1.0: HMAC-SHA256 over id, time and body. After a rotation, there are several signatures.
function signatureIsGood(headers, body) {
  const { 'webhook-id': id = '', 'webhook-timestamp': time = '', 'webhook-signature': given = '' } = headers;
  // An old POST may be a replay of a recorded one.
  if (!/^\d+$/.test(time) || Math.abs(Date.now() / 1000 - Number(time)) > 300) return false;
  const hash = crypto.createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest('base64');
  const expected = Buffer.from(`v1,${hash}`);
  return given.split(' ').some((signature) => {
    const candidate = Buffer.from(signature);
    return candidate.length === expected.length && crypto.timingSafeEqual(candidate, expected);
  });
}

// Returns the event's fields, or null if the body is not an event.
// In both formats, event.tags is ['spring', 'newsletter'].
function readEvent(contentType, body) {
  let event = Object.create(null);
  if (contentType.startsWith('application/json')) {
    try {
      event = JSON.parse(body.toString());
    } catch {
      return null;
    }
  } else {
    for (const [name, value] of new URLSearchParams(body.toString())) {
      if (name.endsWith('[]')) (event[name.slice(0, -2)] ??= []).push(value);
      else event[name] = value;
    }
  }
  return typeof event?.event === 'string' ? event : null;
}

// What happened to whom, and what to do about it. A real handler does it, or puts it into a queue.
function summary(event) {
  let who = event.recipient ?? 'nobody';
  let advice = '';
  if (['create', 'update', 'delete'].includes(event.type)) {
    who = `profile ${event.database}/${event.profile}`;
  } else if (['abuse', 'unsubscribe'].includes(event.type)) {
    advice = ': send this person nothing more';
  } else if (['bounce', 'failure'].includes(event.type) && String(event.permanent) === '1') {
    // Other permanent failures, such as a policy of the receiving server, are not the address's fault.
    if (['address', 'domain'].includes(event.category)) advice = ': this address does not work';
  }
  return `${event.timestamp} ${event.type} ${who}${advice}`;
}

// Reads the verification file, which verification requests, and no other file in the folder.
function verificationFile(url) {
  const name = url.split('?')[0].split('/').pop();
  const file = path.join(__dirname, name);
  return /^feedback-loops-[0-9a-f]+\.txt$/.test(name) && fs.existsSync(file) ? fs.readFileSync(file) : null;
}

function answerTo(request, body) {
  if (request.method !== 'POST') {
    const file = verificationFile(request.url);
    return file ? [200, file] : [404, 'not found'];
  }
  if (!signatureIsGood(request.headers, body)) return [401, 'invalid signature'];
  const event = readEvent(request.headers['content-type'] ?? '', body);
  if (event === null) return [400, 'not an event'];
  if (!seen.has(event.event)) {
    console.log(summary(event));
    seen.add(event.event);
  }
  return [200, 'thank you'];
}

http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const [status, body] = answerTo(request, Buffer.concat(chunks));
    response.writeHead(status).end(body);
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
