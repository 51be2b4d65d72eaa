// A js-libp2p node that obeys lines of JSON: the first is its setup, {seed, chain, listen, topic}, each later one
// {"do": ...} gets one line of answer. With `chain` null it never speaks BZZZ's join protocol.

import { createInterface } from 'node:readline'
import { decode, encode } from '@msgpack/msgpack'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { byteStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const JOIN = '/bzzz/join/1'
const LONGEST_JOIN_FRAME = 64 * 1024
const LIMIT_MS = 10_000

const hex = bytes => Buffer.from(bytes).toString('hex')
const unhex = text => new Uint8Array(Buffer.from(text, 'hex'))
const text = data => Buffer.from(data.subarray ? data.subarray() : data)

class Peer {
  constructor (setup) {
    this.chain = setup.chain?.map(unhex) ?? null
    this.topic = setup.topic
    this.messages = []
    this.times = { count: 0, first: 0n, last: 0n, late: [] }
    this.waiting = null
  }

  async start (setup) {
    this.node = await createLibp2p({
      privateKey: await generateKeyPairFromSeed('Ed25519', unhex(setup.seed)),
      addresses: { listen: setup.listen },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: {
        identify: identify({ runOnConnectionOpen: false }), // a stranger's would be refused
        ping: ping(),
        dht: kadDHT({
          protocol: '/ipfs/kad/1.0.0',
          clientMode: false,
          allowQueryWithZeroPeers: true,
          peerInfoMapper: passthroughMapper,
          validators: { bzzz: async () => {} },
          selectors: { bzzz: () => 0 }
        }),
        pubsub: gossipsub({
          allowPublishToZeroTopicPeers: true,
          floodPublish: true,
          maxOutboundBufferSize: 64 * 1024 * 1024
        })
      }
    })
    await this.node.handle(JOIN, (stream, connection) => this.answerJoin(stream, connection))
    this.node.services.pubsub.addEventListener('message', ({ detail }) => this.take(detail))
    this.node.services.pubsub.subscribe(this.topic)
    return { peer_id: this.node.peerId.toString(), addresses: this.node.getMultiaddrs().map(String) }
  }

  // ── joining ──────────────────────────────────────────────────────────────

  async say (bytes, word) {
    const body = encode(word)
    const frame = Buffer.alloc(4 + body.length)
    frame.writeUInt32BE(body.length)
    frame.set(body, 4)
    await bytes.write(new Uint8Array(frame))
  }

  async hear (bytes) {
    const signal = AbortSignal.timeout(LIMIT_MS)
    const size = text(await bytes.read({ bytes: 4, signal })).readUInt32BE()
    if (size > LONGEST_JOIN_FRAME) throw new Error(`a join frame of ${size} bytes`)
    return decode(text(await bytes.read({ bytes: size, signal })))
  }

  async join (connection) {
    const stream = await connection.newStream(JOIN, { signal: AbortSignal.timeout(LIMIT_MS) })
    const bytes = byteStream(stream)
    await this.say(bytes, { chain: this.chain })
    const answer = await this.hear(bytes)
    if (answer.refused) return { joined: false, refused: answer.refused }
    await this.say(bytes, { ok: true })
    await stream.close()
    await this.node.services.identify.identify(connection)
    return { joined: true, chain: answer.chain.map(hex) }
  }

  async answerJoin (stream, connection) {
    try {
      const bytes = byteStream(stream)
      await this.hear(bytes)
      await this.say(bytes, { chain: this.chain ?? [] })
      await this.hear(bytes)
      await this.node.services.identify.identify(connection)
    } catch {
      // whoever asked went away; it will ask again
    }
  }

  // ── gossip ───────────────────────────────────────────────────────────────

  take (message) {
    const now = process.hrtime.bigint()
    const { times } = this
    times.count += 1
    times.first ||= now
    times.last = now
    if (message.data.length >= 12 && message.data[0] === 0) { // of a measurement: 0, 3 spare, when it was sent
      times.late.push(Number(now - text(message.data).readBigUInt64BE(4)) / 1e6)
    } else {
      this.messages.push({ from: message.from?.toString() ?? '', data: text(message.data).toString() })
    }
    if (this.waiting !== null && times.count >= this.waiting.count) this.waiting.done()
  }

  sample (size) {
    const data = Buffer.alloc(size, 120)
    data.writeUInt32BE(0)
    data.writeBigUInt64BE(process.hrtime.bigint(), 4)
    return new Uint8Array(data)
  }

  async burst ({ count, size }) {
    const began = process.hrtime.bigint()
    for (let number = 0; number < count; number++) {
      await this.node.services.pubsub.publish(this.topic, this.sample(size))
      if (number % 64 === 63) await new Promise(setImmediate) // let the sockets have their turn
    }
    return { began: Number(began), seconds: Number(process.hrtime.bigint() - began) / 1e9 }
  }

  async paced ({ count, size, rate }) {
    const began = performance.now()
    for (let number = 0; number < count; number++) {
      const wait = began + number * 1000 / rate - performance.now()
      if (wait > 0) await new Promise(resolve => setTimeout(resolve, wait))
      await this.node.services.pubsub.publish(this.topic, this.sample(size))
    }
    return {}
  }

  async expect ({ count, limit_s: limit }) {
    if (this.times.count < count) {
      await new Promise(resolve => {
        const timer = setTimeout(resolve, limit * 1000)
        this.waiting = { count, done: () => { clearTimeout(timer); resolve() } }
      })
      this.waiting = null
    }
    const { times } = this
    this.times = { count: 0, first: 0n, last: 0n, late: [] }
    return { count: times.count, first: Number(times.first), last: Number(times.last), late_ms: times.late }
  }

  // ── orders ───────────────────────────────────────────────────────────────

  async obey (order) {
    switch (order.do) {
      case 'connect': {
        const connection = await this.node.dial(multiaddr(order.address), { signal: AbortSignal.timeout(LIMIT_MS) })
        return this.chain === null ? { joined: false } : this.join(connection)
      }
      case 'connected': return this.node.getPeers().map(String)
      case 'agent': {
        const found = (await this.node.peerStore.all()).find(peer => peer.id.toString() === order.peer_id)
        return found?.metadata.has('AgentVersion') ? text(found.metadata.get('AgentVersion')).toString() : null
      }
      case 'identify':
        return (await this.node.services.identify.identify(this.node.getConnections()[0])).agentVersion
      case 'ping': return await this.node.services.ping.ping(this.node.getPeers()[0])
      case 'open': {
        const stream = await this.node.getConnections()[0].newStream(order.protocol, { signal: AbortSignal.timeout(3000) })
        stream.abort(new Error('seen'))
        return true
      }
      case 'followers': return this.node.services.pubsub.getSubscribers(this.topic).map(String)
      case 'meshed': return this.node.services.pubsub.getMeshPeers(this.topic).map(String)
      case 'publish':
        await this.node.services.pubsub.publish(this.topic, new TextEncoder().encode(order.data))
        return true
      case 'messages': return this.messages
      case 'get':
        for await (const event of this.node.services.dht.get(new TextEncoder().encode(order.key), { signal: AbortSignal.timeout(LIMIT_MS) })) {
          if (event.name === 'VALUE') return text(event.value).toString()
        }
        return null
      case 'put':
        for await (const event of this.node.services.dht.put(new TextEncoder().encode(order.key), new TextEncoder().encode(order.data), { signal: AbortSignal.timeout(LIMIT_MS) })) {
          if (event.name === 'QUERY_ERROR') throw event.error
        }
        return true
      case 'burst': return this.burst(order)
      case 'paced': return this.paced(order)
      case 'expect': return this.expect(order)
    }
    throw new Error(`unknown order ${order.do}`)
  }
}

let peer = null
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line)
  try {
    if (peer === null) {
      peer = new Peer(order)
      console.log(JSON.stringify(await peer.start(order)))
    } else {
      console.log(JSON.stringify({ result: await peer.obey(order) }))
    }
  } catch (error) {
    console.log(JSON.stringify({ failed: `${error.name}: ${error.message}` }))
  }
}
process.exit(0)
