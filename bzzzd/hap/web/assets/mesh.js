// Agents, peers, and the health of this node: lists of facts.

import { el, facts, keyed, say, show } from "./dom.js";
import { list, stateMark } from "./list.js";
import { plural, presence, serviceSign, size, when } from "./words.js";

/** A row with a heading, a state, and its facts. */
function factRow(nameOf, signOf, factsOf) {
  const state = stateMark();
  const name = el("h2", { class: "title" });
  const pairs = el("dl", { class: "facts" });
  return {
    node: el("div", { class: "card" }, el("div", { class: "row" }, state.node, name), pairs),
    update(item) {
      state.update(signOf(item));
      say(name, nameOf(item));
      facts(pairs, factsOf(item, Date.now() / 1000));
    },
  };
}

export function agents() {
  return {
    title: "Agents",
    ...list({
      name: "agents",
      word: "agent",
      empty: "No agents are known.",
      rows: (state) => state.agents,
      key: (agent) => agent.id,
      text: (agent) => [agent.id, agent.role, agent.node, ...agent.capabilities].join(" "),
      make: () => factRow((agent) => agent.id, (agent) => presence(agent.attached, "attached"), (agent, now) => [
        ["role", agent.role], ["can do", agent.capabilities.join(", ") || "nothing advertised"],
        ["load", `${agent.load} of ${plural(agent.slots, "slot")}`],
        ["node", agent.local ? `${agent.node} (this one)` : agent.node], ["since", when(agent.since, now)],
      ]),
    }),
  };
}

export function peers() {
  return {
    title: "Peers",
    ...list({
      name: "peers",
      word: "peer",
      empty: "No peers are known: this node is alone.",
      rows: (state) => state.peers,
      key: (peer) => peer.id,
      text: (peer) => [peer.id, peer.name, peer.role, peer.how, ...peer.addresses].join(" "),
      make: () => factRow((peer) => peer.name || peer.id, (peer) => presence(peer.connected, "connected"), (peer, now) => [
        ["role", peer.role], ["peer id", peer.id],
        ["round trip", peer.rtt_ms === null ? "not measured" : `${peer.rtt_ms.toFixed(1)} ms`],
        ["found by", peer.how], ["software", peer.agent_version],
        ["clock", peer.skew_s === null ? "not compared" : `${peer.skew_s >= 0 ? "+" : ""}${peer.skew_s.toFixed(1)} s`],
        ["traffic", `${size(peer.received)} in, ${size(peer.sent)} out`], ["since", when(peer.since, now)],
        ["addresses", peer.addresses.slice(0, 8).join(", ")],
      ]),
    }),
  };
}

export function health() {
  const node = el("dl", { class: "facts" });
  const warnings = el("ul", { class: "warnings", "aria-label": "Warnings" });
  const services = list({
    name: "services",
    word: "service",
    rows: (state) => state.health.services,
    key: (service) => service.id,
    text: (service) => [service.id, service.state, service.detail].join(" "),
    make: () => factRow((service) => service.id, (service) => serviceSign(service.state), (service, now) => [
      ["detail", service.detail], ["needs", service.depends.join(", ") || "nothing"], ["since", when(service.since, now)],
    ]),
  });
  return {
    title: "Health",
    root: el("div", {}, node, warnings, services.root),
    draw(state) {
      const status = state.status;
      facts(node, [
        ["node", status.node_id], ["mesh", status.mesh_id], ["phase", status.phase], ["durability", status.durability],
        ["coordinator", status.coordinator], ["software", status.build],
      ]);
      const told = status.warnings ?? [];
      show(warnings, told.length > 0);
      keyed(warnings, told, (text) => text, () => el("li"), (row, text) => say(row, `▲ warning: ${text}`));
      services.draw(state);
    },
  };
}
