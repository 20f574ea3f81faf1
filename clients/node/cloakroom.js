// Sessions from the Cloakroom session service, for Express. Copy this file; its README shows how to use it.
// Copyright (c) 2026 The Cloakroom developers. SPDX-License-Identifier: MIT OR Apache-2.0
'use strict'
const http = require('node:http')
const https = require('node:https')
const { randomUUID } = require('node:crypto')

const STATUS = { gone: 401, 'signed-out': 401, 'cross-site': 403, conflict: 409, limit: 409, changed: 409, 'too-large': 413, invalid: 500 }

/** Says why a session was not read or changed. `code` is the service's, and Express answers with `status`. */
class CloakroomError extends Error {
  constructor (code, detail) {
    super(`${code}: ${detail}`)
    Object.assign(this, { name: 'CloakroomError', code, status: STATUS[code] ?? 503 })
  }
}

/** Puts the session of each request into `req.session`, and saves it before the head of the response leaves. */
function cloakroom (options = {}) {
  const client = new Client(options)
  /** Opens the session of a request that does not come through Express, such as one for a WebSocket. */
  const open = async (req, session = new Session(client, req.headers)) => {
    if (isCrossSite(req, options)) throw new CloakroomError('cross-site', 'another site has sent this request')
    if (req.headers.cookie) await session.read('')
    return session
  }
  const middleware = (req, res, next) => {
    req.session = new Session(client, req.headers)
    holdHead(res, req.session, next)
    open(req, req.session).then(() => next(), next)
  }
  return Object.assign(middleware, { open })
}

class Session {
  #client; #headers; #fields = new Map(); #changes = new Map(); #turn = Promise.resolve()
  id = null; user = null; cookies = []; hasLeft = false

  constructor (client, { cookie, 'user-agent': agent }) {
    this.#client = client
    this.#headers = { ...(cookie && { Cookie: cookie }), ...(agent && { 'User-Agent': agent }) }
  }

  get (name) { return this.#changes.has(name) ? this.#changes.get(name) : this.#fields.get(name) }

  /** Changes a field when the response begins. `undefined` and `null` remove it. */
  set (name, value) {
    if (this.hasLeft) throw new Error('the head of the response has left: call set() earlier')
    this.#changes.set(name, value ?? undefined)
  }

  remove (name) { this.set(name, undefined) }
  get isChanged () { return this.#changes.size > 0 }
  dropChanges () { this.#changes.clear() }

  /** Makes the changes of `set` and `remove` now. */
  save () { return this.#inTurn(() => this.#save()) }
  reload () { return this.read('?fresh=true') }
  read (query) { return this.#inTurn(() => this.#ask('GET', query)) }

  /** Adds to a counter now, and returns what it is then. */
  increment (name, by = 1) { return this.#change(() => this.#patch({ increment: { [name]: by } }), name) }

  /** Stores `change(value)` now. If another request was faster, it begins anew with the new value. */
  update (name, change) {
    return this.#change(async () => {
      for (let attempt = 1; ; attempt++) {
        const before = this.#fields.get(name)
        const set = { [name]: change(structuredClone(before)) }
        try { return await this.#patch({ set, expect: { [name]: before ?? null } }) } catch (error) {
          if (error.code !== 'changed' || attempt === 20) throw error
          await this.#ask('GET', '?fresh=true')
        }
      }
    }, name)
  }

  /** Signs a user in, with the options of the API. An answer that was lost is asked for once more. */
  signIn (user, options = {}) {
    const key = { 'Idempotency-Key': randomUUID() }
    const ask = () => this.#ask('POST', '/sign-in', { user, ...options }, key)
    return this.#change(() => ask().catch(error => {
      if (!['no-answer', 'unknown-outcome'].includes(error.code)) throw error
      return ask()
    }))
  }

  rotate () { return this.#change(() => this.#ask('POST', '/rotate')) }
  elevate () { return this.#change(() => this.#ask('POST', '/elevate')) }
  async devices () { return (await this.#inTurn(() => this.#ask('GET', '/devices'))).devices }
  signOutDevice (id) { return this.#end('DELETE', `/devices/${encodeURIComponent(id)}`, undefined, id === this.id) }
  signOutOthers () { return this.#end('POST', '/sign-out', { scope: 'others' }, false) }
  signOutEverywhere () { return this.#end('POST', '/sign-out', { scope: 'everywhere' }, true) }
  async signOut () { await this.#end('DELETE', '', undefined, true) }

  async #end (method, path, body, endsThis) {
    const answer = await this.#inTurn(() => this.#ask(method, path, body))
    if (endsThis) { this.#show({}); this.dropChanges() }
    return answer.ended
  }

  /** One question after the other: the next one needs the cookie that the last one was given. */
  #inTurn (work) { return (this.#turn = this.#turn.catch(() => {}).then(work)) }
  #change (work, name) { return this.#inTurn(async () => { await this.#save(); await work(); return this.#fields.get(name) }) }

  async #save () {
    if (!this.isChanged) return
    const changes = this.#changes
    this.#changes = new Map()
    const set = Object.fromEntries([...changes].filter(([, value]) => value !== undefined))
    const remove = [...changes.keys()].filter(name => changes.get(name) === undefined)
    await this.#patch({ set, remove }).catch(error => {
      this.#changes = new Map([...changes, ...this.#changes])
      throw error
    })
  }

  /** Names the session that was read: a late change must not bring back one that has ended. */
  #patch (changes) { return this.#ask('PATCH', '', { session: this.id, ...changes }) }

  async #ask (method, path, body, headers) {
    const { status, cookies, json } = await this.#client.ask(method, path, body, { ...this.#headers, ...headers })
    for (const cookie of cookies) this.#keep(cookie)
    if (status >= 400) throw new CloakroomError(json.code, json.detail)
    if (json.state) this.#show(json)
    return json
  }

  #show ({ id = null, user = null, fields = {} }) {
    Object.assign(this, { id, user })
    this.#fields = new Map(Object.entries(fields))
  }

  /** Keeps a cookie for the browser, and for the next question of this request. */
  #keep (cookie) {
    const [pair] = cookie.split(';')
    const isSame = other => other.trim().split('=')[0] === pair.split('=')[0]
    const others = (this.#headers.Cookie ?? '').split(';').filter(other => other.trim() && !isSame(other))
    const isRemoved = /;\s*Max-Age=0\b/i.test(cookie)
    this.#headers.Cookie = [...others, ...(isRemoved ? [] : [pair])].map(other => other.trim()).join('; ')
    this.cookies = [...this.cookies.filter(other => !isSame(other)), cookie]
  }
}

/** Asks the service at `url`: `http://127.0.0.1:8090` or `unix:/run/cloakroom/cloakroom.sock`. */
class Client {
  constructor ({ url = 'http://127.0.0.1:8090', key, timeout = 2000 }) {
    const { protocol, hostname, port, pathname } = new URL(url)
    if (!['unix:', 'http:', 'https:'].includes(protocol)) throw new TypeError(`${url}: begin the URL with unix:, http: or https:`)
    this.http = protocol === 'https:' ? https : http
    const where = protocol === 'unix:' ? { socketPath: pathname } : { hostname: hostname.replace(/^\[|\]$/g, ''), port }
    // the service closes connections that are idle for 150 seconds
    this.options = { ...where, agent: new this.http.Agent({ keepAlive: true, timeout: 60_000 }) }
    this.headers = { Host: hostname || 'localhost', ...(key && { Authorization: `Bearer ${key}` }) }
    this.timeout = timeout
  }

  async ask (method, path, body, headers) {
    try { return await this.#once(method, path, body, headers) } catch (error) {
      // a connection that was kept may be closed just when it is used again
      if (method === 'GET' && error.wasKept) return this.#once(method, path, body, headers).catch(noAnswer)
      return noAnswer(error)
    }
  }

  #once (method, path, body, headers) {
    const data = body && JSON.stringify(body)
    const json = data && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(data) }
    const signal = AbortSignal.timeout(this.timeout)
    return new Promise((resolve, reject) => {
      const request = this.http.request({ ...this.options, signal, method, path: `/v1/session${path}`, headers: { ...this.headers, ...headers, ...json } })
      const fail = error => reject(Object.assign(error, { wasKept: request.reusedSocket && error.code === 'ECONNRESET' }))
      request.on('error', fail).on('response', async response => {
        try {
          const text = Buffer.concat(await response.toArray()).toString()
          resolve({ status: response.statusCode, cookies: response.headers['set-cookie'] ?? [], json: text ? JSON.parse(text) : {} })
        } catch (error) { fail(error) }
      }).end(data)
    })
  }
}

function noAnswer (error) { throw new CloakroomError('no-answer', `the session service does not answer (${error.code ?? error.name})`) }

/** Judges as the library does: a request that changes something, or opens a WebSocket, must come from this site. */
function isCrossSite ({ method, headers }, { secure = true, trustedOrigins = [] }) {
  const opensSocket = /(^|,)\s*websocket\s*(,|\/|$)/i.test(headers.upgrade ?? '')
  if (['GET', 'HEAD', 'OPTIONS'].includes(method) && !opensSocket) return false
  const { origin, host = '', 'sec-fetch-site': site } = headers
  if (origin && trustedOrigins.includes(origin)) return false
  if (site) return !['same-origin', 'none'].includes(site)
  const [scheme, port] = secure ? ['https://', /:443$/] : ['http://', /:80$/]
  const own = scheme + host.toLowerCase().replace(port, '')
  return Boolean(origin) && (!host || origin.toLowerCase().replace(port, '') !== own)
}

/** Holds back what the application answers until its changes are saved, and adds the cookies to the head. */
function holdHead (res, session, next) {
  let held = null
  const { writeHead } = res
  res.writeHead = function (status, ...rest) {
    if (typeof rest.at(-1) === 'object') setHeaders(this, rest.pop() ?? {})
    if (session.cookies.length) {
      this.appendHeader('Set-Cookie', session.cookies)
      this.setHeader('Cache-Control', 'no-store')
    }
    this.appendHeader('Vary', 'Cookie')
    session.hasLeft = true
    return writeHead.call(this, status, ...rest)
  }
  for (const name of ['writeHead', 'flushHeaders', 'write', 'end']) {
    const original = res[name]
    res[name] = function (...args) {
      if (held) return held.push([original, args]), name === 'write' ? false : this
      const status = name === 'writeHead' ? args[0] : this.statusCode
      if (this.headersSent || !session.isChanged || status >= 500 || status === 408) return original.apply(this, args)
      held = [[original, args]]
      session.save().then(() => {
        const calls = held
        held = null
        for (const [call, args] of calls) call.apply(this, args)
        this.emit('drain')
      }, error => {
        held = null
        session.dropChanges()
        for (const header of this.getHeaderNames()) if (/^(content-(?!security)|etag|last-modified|location)/.test(header)) this.removeHeader(header)
        next(error)
      })
      return name === 'write' ? false : this
    }
  }
}

/** Takes headers as `writeHead` does: an object, a list of pairs, or a list of names and values in turn. */
function setHeaders (res, headers) {
  if (!Array.isArray(headers)) return Object.entries(headers).forEach(([name, value]) => res.setHeader(name, value))
  const flat = headers.flat()
  for (let i = 0; i < flat.length; i += 2) res.removeHeader(flat[i])
  for (let i = 0; i < flat.length; i += 2) res.appendHeader(flat[i], flat[i + 1])
}

module.exports = Object.assign(cloakroom, { cloakroom, CloakroomError })
