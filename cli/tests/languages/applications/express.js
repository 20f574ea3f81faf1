// The application of the tests, with Express.
'use strict'
const fs = require('node:fs')
const express = require('express')
const cloakroom = require(process.env.CLIENT)

const app = express()
const until = path => new Promise(resolve => {
  const timer = setInterval(() => fs.existsSync(path) && resolve(clearInterval(timer)), 10)
})

app.use(cloakroom({ url: process.env.SERVICE, key: process.env.KEY, secure: false }))
app.get('/', (req, res) => res.send('hello'))
app.all('/show', ({ session }, res) => {
  const names = ['a', 'b', 'count', 'list'].filter(name => session.get(name) != null)
  res.json({ user: session.user, fields: Object.fromEntries(names.map(name => [name, session.get(name)])) })
})
app.post('/set', ({ session, query }, res) => { session.set(query.name, query.value); res.json({}) })
app.post('/remove', ({ session, query }, res) => { session.remove(query.name); res.json({}) })
app.post('/count', async ({ session }, res) => res.json({ count: await session.increment('count') }))
app.post('/append', async ({ session, query }, res) => {
  res.json({ list: await session.update('list', list => [...(list ?? []), query.value]) })
})
app.post('/sign-in', async ({ session, query }, res) => { await session.signIn(query.user); res.json({}) })
app.post('/rotate', async ({ session }, res) => { await session.rotate(); res.json({}) })
app.post('/elevate', async ({ session }, res) => { await session.elevate(); res.json({}) })
app.post('/sign-out', async ({ session }, res) => { await session.signOut(); res.json({}) })
app.get('/devices', async ({ session }, res) => res.json({ devices: await session.devices() }))
app.post('/sign-out-device', async ({ session, query }, res) => res.json({ ended: await session.signOutDevice(query.id) }))
app.post('/sign-out-others', async ({ session }, res) => res.json({ ended: await session.signOutOthers() }))
app.post('/sign-out-everywhere', async ({ session }, res) => res.json({ ended: await session.signOutEverywhere() }))
app.post('/slow', async ({ session, query }, res) => {
  session.get('a')
  fs.writeFileSync(query.gate + '.read', '')
  await until(query.gate)
  session.set('a', 'late')
  res.json({})
})
app.get('/stream', async ({ session, query }, res) => {
  session.set('a', 'streamed')
  res.write('one\n')
  await until(query.gate)
  res.end('two\n')
})
app.post('/cached', ({ session }, res) => {
  session.set('a', 'cached')
  res.writeHead(200, ['Content-Type', 'application/json', 'Cache-Control', 'public, max-age=60']).end('{}')
})
app.post('/fail', ({ session }, res) => { session.set('a', 'half'); res.status(500).json({}) })
app.post('/caught', async ({ session }, res) => {
  try { res.json({ count: await session.increment('count') }) } catch (error) { res.status(error.status).json({ caught: error.code }) }
})

const server = app.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/`))
