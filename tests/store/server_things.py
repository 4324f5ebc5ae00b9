"""Write to a server and read back, with nothing of ours but its URI."""

from __future__ import annotations

import pymongo


def connect(uri, **options):
    return pymongo.MongoClient(uri, serverSelectionTimeoutMS=5000, **options)


def insert(server, name):
    with connect(server.uri) as client:
        client["wyckflow"]["things"].insert_one({"_id": name})


def names(server):
    with connect(server.uri) as client:
        return {thing["_id"] for thing in client["wyckflow"]["things"].find()}
