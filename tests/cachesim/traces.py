# SPDX-License-Identifier: MIT
"""traces: records, (operation, block), written in each format that ash-cachesim reads."""
import gzip
import struct

from models import FLUSH, READ, WRITE

LETTERS = {READ: 'R', WRITE: 'W', FLUSH: 'F'}
WORDS = {READ: 'read', WRITE: 'WRITE', FLUSH: 'flush'}


def u32(records):
    return b''.join(struct.pack('<I', operation << 30 | block) for operation, block in records)


def text(records, chance):
    """In every spelling that is allowed."""
    lines = ['# a trace\r\n', '\n']
    for operation, block in records:
        if block is None:
            line = 'F'
        else:
            number = chance.choice((f'{block}', f'0x{block:x}', f'0X{block:X}', f'00{block}'))
            letter = LETTERS[operation]
            letter = chance.choice((letter, letter.lower()))
            line = chance.choice((f'{letter} {number}', f'{number}\t{letter}',
                                  f' {letter}  {number} '))
            if operation == READ and chance.random() < 0.5:
                line = number
        line += chance.choice(('', ' # so', '#'))
        lines.append(line + chance.choice(('\n', '\r\n', '\n\n')))
    return ''.join(lines).rstrip('\r\n').encode()


def oracle(records, size=4096):
    """Reads alone. The last field is true: where the block comes next."""
    coming, places = {}, []
    for place in range(len(records) - 1, -1, -1):
        block = records[place][1]
        places.append(coming.get(block, -1))
        coming[block] = place + 1
    return b''.join(struct.pack('<IQIq', 100 + number // 7, block, size, place)
                    for number, ((_, block), place) in enumerate(zip(records, reversed(places))))


def csv(records, delimiter=',', header='version,time,op,size,lbn', quote=''):
    lines = [header.replace(',', delimiter)] if header else []
    for number, (operation, block) in enumerate(records):
        fields = ('1', str(33898 + number // 5), WORDS[operation], '4096', f'{quote}{block}{quote}')
        lines.append(delimiter.join(fields))
    return ('\n'.join(lines) + '\n').encode()


def packed(data):
    return gzip.compress(data, mtime=0)


def read_u32(path):
    with gzip.open(path) as file:
        return [(word >> 30, word & 0x3fffffff) for word, in struct.iter_unpack('<I', file.read())]
