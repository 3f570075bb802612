from cooper_gateway.operations.registry import HANDLERS, NOW
from cooper_gateway.protocol.routes import ROUTES


def test_every_row_of_the_table_has_a_handler_and_nothing_else_has_one():
    assert set(HANDLERS) == {route.operation for route in ROUTES}
    assert set(NOW) <= set(HANDLERS)
