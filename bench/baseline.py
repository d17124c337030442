"""The denominator over HTTP: FastAPI on uvicorn, POST parses the body as JSON, GET answers two bytes."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, Request, Response

from gateway.fhir import json

app = FastAPI()


@app.post("/fhir")
async def post(request: Request) -> Response:
    json.decode(await request.body())
    return Response(b"{}", media_type="application/json")


@app.get("/empty")
async def empty() -> Response:
    return Response(b"{}", media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
