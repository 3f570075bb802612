"""A Bucket is applied, and its namespace gets a Secret that works."""

from e2e.system.system import System, manifest
from support.rig import error_code


async def test_credentials_work_at_the_first_try_on_every_gateway(system: System, tenant: str) -> None:
    for number in range(5):
        name = f"photos-{number}"
        spec = {"bucketName": f"{tenant}-{name}"}
        await system.apply(manifest("Bucket", tenant, name, spec))
        await system.wait(f"bucket/{name}", tenant)
        credentials = await system.credentials(tenant, name)
        for client in system.clients(credentials):
            client.put_object(Bucket=credentials["BUCKET"], Key="a", Body=b"content")
            assert client.get_object(Bucket=credentials["BUCKET"], Key="a")["Body"].read() == b"content"
            assert error_code(lambda client=client: client.list_objects_v2(Bucket="another")) == "AccessDenied"
            client.delete_object(Bucket=credentials["BUCKET"], Key="a")
