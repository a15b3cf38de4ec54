// An ONC service on node-soap: `node server.js MODULES WSDL OPTIONS-AS-JSON`, prints its port; GET /dump is what it holds.
"use strict";
const http = require("http");
const path = require("path");
const { createRequire } = require("module");
const [modules, wsdl, given] = process.argv.slice(2);
const soap = createRequire(path.join(modules, "node_modules", "x.js"))("soap");

// names: how this contract writes its members; expire: calls a session lives for; refuse: destinations answered with 9
const options = JSON.parse(given);
const n = (name) => options.names[name] || name;
const refuse = options.refuse ? new RegExp(options.refuse) : null;
const held = [];
const sessions = new Map();
const counts = { opened: 0, closed: 0, expired: 0, requests: 0 };

const plain = (value) => (value !== null && typeof value === "object" && "$value" in value ? value.$value : value);
const parameter = (args, name) => plain(args[n(name)]);
const answer = (operation, value) => (value === undefined ? {} : { [n(operation + "Result")]: value });
const same = (one, other) => String(one).replace(/[{}]/g, "").toLowerCase() === String(other).toLowerCase();

function alive(args) {
  const session = String(parameter(args, "sessionId"));
  if (!sessions.has(session)) return false;
  if (options.expire && sessions.get(session) >= options.expire) {
    sessions.delete(session);
    counts.expired += 1;
    return false;
  }
  sessions.set(session, sessions.get(session) + 1);
  return true;
}

const ours = (args) => alive(args) && same(parameter(args, "campaignId"), options.campaign);
const list = (items, member) => (items.length || !options.flat ? { [n(member)]: items } : undefined);
const channels = ["SMSCommInfo", "VoiceCommInfo", "EmailCommInfo"];

function channelHeld(given) {
  if (!given || !given[n("Destination")]) return null;
  return {
    Destination: String(plain(given[n("Destination")])),
    TextToSendOverwrite: plain(given[n("TextToSendOverwrite")]) ?? null,
    RetryCount: Number(plain(given[n("RetryCount")])),
  };
}

function channelShown(channel) {
  if (!channel) return undefined;
  const shown = { ...channel, LastDeliveryErrorCode: 0, StatusCode: 1 };
  return Object.fromEntries(Object.entries(shown).map(([name, value]) => [n(name), value]));
}

const operations = {
  OpenAPISession(args) {
    const good = ["accountId", "username", "password"].map((name) => parameter(args, name)).join() === "acme,ann,p&<ss>";
    const session = good ? `s-${(counts.opened += 1)}<&>` : "";
    if (good) sessions.set(session, 0);
    return { [n("ErrorCode")]: good ? 0 : 1, [n("Description")]: "", [n("SessionId")]: session };
  },
  CloseAPISession(args) {
    const known = sessions.delete(String(parameter(args, "sessionId")));
    counts.closed += known ? 1 : 0;
    return { [n("ErrorCode")]: known ? 0 : 3, [n("Description")]: "" };
  },
  GetCampaignListing: (args) => (alive(args) ? list([options.campaign], "guid") : undefined),
  GetCampaign: (args) => (ours(args) ? { [n("ID")]: options.campaign, [n("ShortName")]: "Autumn" } : undefined),
  GetCampaignContactsListing: (args) => (ours(args) ? list(held.map((one) => one.id), "guid") : undefined),
  GetCampaignContacts(args) {
    if (!ours(args)) return undefined;
    const shown = held.map((one) => ({
      [n("CampaignId")]: options.campaign,
      ...Object.fromEntries(channels.map((name) => [n(name), channelShown(one[name])]).filter(([, value]) => value)),
      [n("Id")]: one.id,
    }));
    return list(shown, "OutboundNotificationContactInfo");
  },
  AddCampaignContact(args) {
    if (!alive(args)) return 3;
    const given = args[n("contact")];
    if (!same(plain(given[n("CampaignId")]), options.campaign)) return 5;
    const one = { id: plain(given[n("Id")]) };
    for (const name of channels) one[name] = channelHeld(given[n(name)]);
    if (refuse && channels.some((name) => one[name] && refuse.test(one[name].Destination))) return 9;
    held.push(one);
    return 0;
  },
  DeleteCampaignContact(args) {
    if (!ours(args)) return 3;
    const index = held.findIndex((one) => same(one.id, parameter(args, "contactId")));
    if (index >= 0) held.splice(index, 1);
    return index >= 0 ? 0 : 6;
  },
};

const calls = {};
for (const [name, call] of Object.entries(operations)) {
  calls[n(name)] = (args) => {
    counts.requests += 1;
    return answer(name, call(args || {}));
  };
}
const services = { [options.service]: { [options.port]: calls } };

const server = http.createServer((request, response) => {
  if (request.url !== "/dump") return void response.writeHead(404).end();
  response.setHeader("Content-Type", "application/json");
  const shown = held.map((one) => ({ Id: one.id, ...Object.fromEntries(channels.map((name) => [name, one[name]])) }));
  response.end(JSON.stringify({ held: shown, counts, open: sessions.size }));
});
const listening = soap.listen(server, {
  path: "/notify",
  services,
  wsdlPath: wsdl,
  forceSoap12Headers: Boolean(options.soap12),
  callback: () => server.listen(0, "127.0.0.1", () => console.log(server.address().port)),
  xml: require("fs").readFileSync(wsdl, "utf8"),
  uri: wsdl,
});
listening.wsdl.options.preserveWhitespace = true;
