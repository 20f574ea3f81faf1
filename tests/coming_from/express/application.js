// An application on Express with express-session and connect-redis, and their defaults.
//
//     application.js REDIS_PORT      prints the port on which it listens

const { RedisStore } = require("connect-redis");
const express = require("express");
const session = require("express-session");
const { createClient } = require("redis");

async function main() {
  const client = createClient({ url: `redis://127.0.0.1:${process.argv[2]}` });
  await client.connect();
  const app = express();
  app.use(
    session({ store: new RedisStore({ client }), secret: "keyboard cat", resave: false, saveUninitialized: false }),
  );
  app.post("/sign-in/:user", (request, response, next) => {
    request.session.regenerate((error) => {
      if (error) return next(error);
      request.session.user = request.params.user;
      response.end();
    });
  });
  app.post("/cart/:item", (request, response) => {
    request.session.cart = request.params.item;
    response.end();
  });
  app.post("/sign-out", (request, response, next) => {
    request.session.destroy((error) => (error ? next(error) : response.end()));
  });
  app.get("/account", (request, response) => {
    const { user, cart } = request.session;
    if (user) response.send(`${user}: ${cart ?? ""}`);
    else response.sendStatus(401);
  });
  const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

main();
