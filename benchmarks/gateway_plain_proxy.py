"""What a gateway costs at least in Python: forty lines that route, forward, read the usage and add up the cost.

    python benchmarks/gateway_plain_proxy.py UPSTREAM httpx2|aiohttp

The yardstick of `benchmarks/gateway.py`. It checks nothing, retries nothing and keeps nothing.
"""

import contextlib
import json
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

UPSTREAM, CLIENT = sys.argv[1], sys.argv[2]
PRICE = {"input": 2e-6, "output": 10e-6}
HEADERS = {"authorization": "Bearer k", "content-type": "application/json"}
spent = 0.0


def bill(usage):
    global spent
    spent += usage["prompt_tokens"] * PRICE["input"] + usage["completion_tokens"] * PRICE["output"]


def read(data):
    for line in data.split(b"\n"):
        if line.startswith(b"data: {") and (usage := json.loads(line[6:]).get("usage")):
            bill(usage)


async def pass_on(pieces, done):
    async for piece in pieces:
        read(piece)
        yield piece
    await done()


async def with_httpx2(body):
    if body.get("stream"):
        request = http.build_request("POST", UPSTREAM + "/chat/completions", json=body, headers=HEADERS)
        reply = await http.send(request, stream=True)
        return StreamingResponse(pass_on(reply.aiter_bytes(), reply.aclose), media_type="text/event-stream")
    reply = await http.post(UPSTREAM + "/chat/completions", json=body, headers=HEADERS)
    bill(reply.json()["usage"])
    return Response(reply.content, reply.status_code, media_type="application/json")


async def with_aiohttp(body):
    reply = await http.post(UPSTREAM + "/chat/completions", data=json.dumps(body), headers=HEADERS)

    async def done():
        reply.release()

    if body.get("stream"):
        return StreamingResponse(pass_on(reply.content.iter_any(), done), media_type="text/event-stream")
    data = await reply.read()
    bill(json.loads(data)["usage"])
    return Response(data, reply.status, media_type="application/json")


async def chat(request: Request):
    body = json.loads(await request.body())
    return await (with_httpx2 if CLIENT == "httpx2" else with_aiohttp)(body)


@contextlib.asynccontextmanager
async def lifespan(_):
    global http
    if CLIENT == "httpx2":
        import httpx2

        http = httpx2.AsyncClient(limits=httpx2.Limits(max_connections=200, max_keepalive_connections=100), timeout=60)
        yield
        await http.aclose()
    else:
        import aiohttp

        http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200))
        yield
        await http.close()


app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])], lifespan=lifespan)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[3]), access_log=False, log_level="error")
