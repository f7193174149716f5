"""The official Python client as a judge: it takes a step for each line of its input, and prints the
client's answer as a line of JSON.
"""

import asyncio
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import sys

import onepassword
from onepassword import types


class Judge:
    """The steps, by their names."""

    client = None

    async def about(self):
        package = importlib.metadata.metadata("onepassword-sdk")
        name = f"{package['Name']} {package['Version']}"
        core = next(
            path
            for path in pathlib.Path(onepassword.__file__).parent.glob("lib/*/*op_uniffi_core.*")
            if path.suffix in {".so", ".dylib", ".dll"}
        )
        return {
            "client": name,
            "core": f"that of {name} (native)",
            "license": package["License"],
            "sha256": hashlib.sha256(core.read_bytes()).hexdigest(),
            "runtime": f"python {platform.python_version()}",
        }

    async def signIn(self, token):
        self.client = await onepassword.Client.authenticate(
            auth=token, integration_name="Keyloan judge", integration_version="v1.0.0"
        )

    async def vaults(self):
        return [plain(vault) for vault in await self.client.vaults.list()]

    async def items(self, vault):
        # Without a filter, the core leaves the archived items out.
        content = types.ItemListFilterByStateInner(active=True, archived=True)
        every = types.ItemListFilterByState(content=content)
        return [plain(item) for item in await self.client.items.list(vault, every)]

    async def item(self, vault, item):
        return plain(await self.client.items.get(vault, item))

    async def resolve(self, reference):
        return await self.client.secrets.resolve(reference)

    async def policy(self, vault, item):
        return plain(await self.client.items.shares.get_account_policy(vault, item))

    async def share(self, vault, item, recipient):
        shares = self.client.items.shares
        whole = await self.client.items.get(vault, item)
        policy = await shares.get_account_policy(vault, item)
        recipients = await shares.validate_recipients(policy, [recipient])
        hour = types.ItemShareDuration.ONEHOUR
        terms = types.ItemShareParams(recipients=recipients, expireAfter=hour, oneTimeOnly=False)
        return await shares.create(whole, policy, terms)


def plain(answer):
    """The answer as the core wrote it."""
    return answer.model_dump(mode="json", by_alias=True)


async def main():
    judge = Judge()
    for line in sys.stdin:
        parameters = json.loads(line)
        try:
            reply = {"answer": await getattr(judge, parameters.pop("step"))(**parameters)}
        except Exception as error:  # the client's refusal is its answer
            reply = {"error": str(error)}
        print(json.dumps(reply), flush=True)


asyncio.run(main())
