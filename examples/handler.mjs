// A handler in one file, with Node's own library alone: checks the signature, drops repeats, reads the event.
//
//     FEEDBACK_LOOP_SECRET=whsec_… node handler.mjs 9000
//
// The loop's URL is then http://127.0.0.1:9000/. Put its verification file beside this script.

import { createHmac, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const key = Buffer.from(process.env.FEEDBACK_LOOP_SECRET.replace("whsec_", ""), "base64");
// The same event may come twice, with the same id. Of a real handler: a table with a unique column, which outlives it.
const seen = new Set();

// Standard Webhooks 1.0: HMAC-SHA256 over id, time and body; several signatures while a secret rotates.
function signatureIsGood(headers, body) {
  const { "webhook-id": id = "", "webhook-timestamp": time = "", "webhook-signature": signatures = "" } = headers;
  // An old POST may be one that somebody recorded and sends again.
  if (!/^\d+$/.test(time) || Math.abs(Date.now() / 1000 - Number(time)) > 300) return false;
  const hmac = createHmac("sha256", key).update(`${id}.${time}.`).update(body);
  const expected = Buffer.from(`v1,${hmac.digest("base64")}`);
  return signatures.split(" ").some((given) => {
    const signature = Buffer.from(given);
    return signature.length === expected.length && timingSafeEqual(signature, expected);
  });
}

createServer(async (request, response) => {
  const answer = (status, text) => response.writeHead(status).end(text);
  const name = request.url.slice(request.url.lastIndexOf("/") + 1);
  if (request.method === "GET" && /^feedback-loops-[0-9a-f]+\.txt$/.test(name)) {
    const file = await readFile(new URL(name, import.meta.url)).catch(() => null);
    return file ? answer(200, file) : answer(404, "not here");
  }
  if (request.method !== "POST") return answer(404, "not here");
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (!signatureIsGood(request.headers, body)) return answer(401, "the signature is not good");
  // Lists have several values under one name: fields.getAll("tags[]").
  const fields = new URLSearchParams(body.toString());
  const event = fields.get("event");
  if (!seen.has(event)) {
    console.log(fields.get("timestamp"), fields.get("type"), fields.get("recipient") ?? "");
    seen.add(event);
  }
  answer(200, "thank you");
}).listen(Number(process.argv[2]), "127.0.0.1");
