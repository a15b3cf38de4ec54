// Node with undici and csv-parse.
import { createReadStream, createWriteStream, readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { parse } from "csv-parse";
import { Pool } from "undici";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { origin, pathname } = new URL(job.url);
const headers = { "Content-Type": "text/xml; charset=utf-8", SOAPAction: job.action };
const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

function envelope(person) {
  const values = {
    ...person,
    token: job.token,
    contact_id: randomUUID(),
    mobile: "+1" + person.mobile.replace(/\D/g, ""),
  };
  return job.envelope.replace(/\{(\w+)\}/g, (_, name) => values[name].replace(/[&<>]/g, (each) => escapes[each]));
}

const pool = new Pool(origin, { connections: job.connections });
const results = createWriteStream(job.results);
const began = performance.now();
const used = process.cpuUsage();
let rows = 0;

async function worker(people) {
  for (let next = await people.next(); !next.done; next = await people.next()) {
    const person = next.value;
    const body = envelope(person);
    const answer = await pool.request({ path: pathname, method: "POST", headers, body });
    const text = await answer.body.text();
    const code = /AddCampaignContactResult>(\d+)</.exec(text)?.[1];
    if (answer.statusCode !== 200 || code === undefined) throw new Error(`HTTP ${answer.statusCode}`);
    results.write(`${person.customer_id},${code}\n`);
    if (code === "0") rows += 1;
  }
}

const people = createReadStream(job.list).pipe(parse({ columns: true }))[Symbol.asyncIterator]();
await Promise.all(Array.from({ length: job.connections }, () => worker(people)));
results.end();
await once(results, "finish");
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(used);
console.log(JSON.stringify({ rows, seconds, cpu: (user + system) / 1e6 }));
await pool.close();
