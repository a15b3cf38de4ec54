// Node's own HTTP server, as a target: what it is asked stands in the path. Prints its port.
const http = require("node:http");
const server = http.createServer((request, response) => {
  const pieces = [];
  if (request.url === "/early") {
    response.writeHead(413, { "Content-Length": 4, Connection: "close" });
    response.end("full");
    return;
  }
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const body = Buffer.concat(pieces);
    switch (request.url) {
      case "/length":
        response.setHeader("Content-Length", body.length);
        response.end(body);
        break;
      case "/chunks":
        response.setHeader("X-Headers", Object.keys(request.headers).sort().join(" "));
        for (let at = 0; at < body.length; at += 1000) response.write(body.subarray(at, at + 1000));
        response.end();
        break;
      case "/trailers":
        response.writeHead(200, { Trailer: "X-Sum", "Transfer-Encoding": "chunked" });
        response.write(body);
        response.addTrailers({ "X-Sum": "1", "Set-Cookie": "a=b" });
        response.end();
        break;
      case "/hints":
        response.writeEarlyHints({ link: "</style.css>; rel=preload" });
        response.writeProcessing();
        response.end(body);
        break;
      case "/close":
        response.setHeader("Connection", "close");
        response.end(body);
        break;
      case "/cut":
        response.setHeader("Content-Length", 100);
        response.write("half");
        response.socket.end();
        break;
      case "/gone":
        request.socket.destroy();
        break;
      case "/reset":
        request.socket.resetAndDestroy();
        break;
      case "/nothing":
        response.statusCode = 204;
        response.end();
        break;
      case "/unchanged":
        response.writeHead(304, { "Content-Length": 10 });
        response.end();
        break;
      default:
        response.statusCode = 404;
        response.end("no such thing");
    }
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
