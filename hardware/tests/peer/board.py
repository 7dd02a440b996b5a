"""A relay board made of pymodbus, which shares no code with Cardea. Its relays and inputs are where a maker's are.

Each change of a relay is a line on standard output, {"relay": 1, "on": true}; `input 1 1` and `input 1 0` on standard input set an
input. Numbers are those printed on the board.
"""

import argparse
import asyncio
import json
import struct
import sys

from pymodbus import FramerType
from pymodbus.datastore import ModbusServerContext
from pymodbus.datastore.context import ModbusBaseSlaveContext
from pymodbus.pdu import ModbusExceptions
from pymodbus.pdu.bit_write_message import WriteSingleCoilRequest, WriteSingleCoilResponse
from pymodbus.pdu.register_write_message import WriteSingleRegisterRequest, WriteSingleRegisterResponse
from pymodbus.server import StartAsyncSerialServer, StartAsyncTcpServer

COILS, DISCRETE, HOLDING = 1, 2, 3


class Board(ModbusBaseSlaveContext):
    """Eight relays and eight inputs."""

    # the table and address of the relays, the address of the discrete inputs, and the number of the first of each
    MAPS = {
        "plain": (COILS, 0x0000, 0, 0),
        "icp-das": (COILS, 0x0000, 0, 0),
        "adam-6000": (COILS, 0x0010, 0, 0),
        "waveshare-relay": (COILS, 0x0000, 0, 1),
        "eletechsup": (HOLDING, 0x0001, None, 1),
    }

    def __init__(self, like):
        self.like = like
        self.table, self.base, self.inputs_at, self.first = self.MAPS[like]
        self.relays, self.inputs, self.timers = [False] * 8, [False] * 8, [None] * 8

    def switch(self, index, on, seconds=None):
        if self.timers[index]:
            self.timers[index].cancel()
        self.timers[index] = None
        if seconds is not None:
            self.timers[index] = asyncio.get_running_loop().call_later(seconds, self.switch, index, False)
        if self.relays[index] != on:
            self.relays[index] = on
            print(json.dumps({"relay": index + self.first, "on": on}), flush=True)

    def area(self, function):
        return {1: COILS, 5: COILS, 15: COILS, 2: DISCRETE, 3: HOLDING, 6: HOLDING, 16: HOLDING}.get(function)

    def validate(self, fc_as_hex, address, count=1):
        area = self.area(fc_as_hex)
        if area == self.table:
            return self.base <= address and address + count <= self.base + 8
        return area == DISCRETE and self.inputs_at is not None and address + count <= self.inputs_at + 8

    def getValues(self, fc_as_hex, address, count=1):
        if self.area(fc_as_hex) == DISCRETE:
            return self.inputs[address - self.inputs_at :][:count]
        values = self.relays[address - self.base :][:count]
        return values if self.table == COILS else [int(value) for value in values]

    def setValues(self, fc_as_hex, address, values):
        for index, value in enumerate(values, address - self.base):
            if self.table == COILS:
                self.switch(index, bool(value))
            elif value >> 8 == 6:
                # a delay of 0 ends a running one
                self.switch(index, value & 0xFF > 0, value & 0xFF or None)
            elif self.timers[index] is None:
                # as measured on a RYN408F: neither open nor close ends a delay
                self.switch(index, value == 0x0100)


class WriteCoil(WriteSingleCoilRequest):
    """Function 05 as Waveshare's boards know it: at 0x0200 + n the value is a time in units of 100 ms."""

    def decode(self, data):
        self.address, self.word = struct.unpack(">HH", data)
        self.value = self.word == 0xFF00

    async def update_datastore(self, context):
        if context.like != "waveshare-relay" or not 0x0200 <= self.address < 0x0208:
            if self.word not in (0x0000, 0xFF00):
                return self.doException(ModbusExceptions.IllegalValue)
            return await super().update_datastore(context)
        context.switch(self.address - 0x0200, True, self.word / 10)
        return Echo(self.address, self.word)


class WriteWord(WriteSingleRegisterRequest):
    """Function 06 of a board that reads back something else than was written: the answer repeats the request."""

    async def update_datastore(self, context):
        if not context.validate(self.function_code, self.address, 1):
            return self.doException(ModbusExceptions.IllegalAddress)
        await context.async_setValues(self.function_code, self.address, [self.value])
        return WriteSingleRegisterResponse(self.address, self.value)


class Echo(WriteSingleCoilResponse):
    """Repeats the time."""

    def encode(self):
        return struct.pack(">HH", self.address, self.value)


async def obey(board):
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _, channel, level = line.split()
        board.inputs[int(channel) - board.first] = level == "1"


async def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--like", choices=Board.MAPS, required=True)
    arguments.add_argument("--unit", type=int, default=1)
    arguments.add_argument("--tcp", type=int)
    arguments.add_argument("--serial")
    wish = arguments.parse_args()
    board = Board(wish.like)
    context = ModbusServerContext(slaves={wish.unit: board}, single=False)
    hearing = asyncio.create_task(obey(board))
    if wish.serial:
        await StartAsyncSerialServer(
            context=context, custom_functions=[WriteCoil, WriteWord], framer=FramerType.RTU, port=wish.serial, baudrate=9600,
            ignore_missing_slaves=True,
        )
    else:
        await StartAsyncTcpServer(context=context, custom_functions=[WriteCoil, WriteWord], address=("127.0.0.1", wish.tcp))
    await hearing


asyncio.run(main())
