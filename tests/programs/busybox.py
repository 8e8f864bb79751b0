# SPDX-License-Identifier: MIT
"""busybox: Debian's busybox-static for arm64, a program of hundreds that nobody here wrote.

It is fetched by apt with the machine's own sources and keys, but with lists, cache and architecture
of its own in a folder of the build: nothing of the machine's configuration changes, no root is
needed, and the second time nothing is fetched.
"""
import pathlib
import shutil
import subprocess

LIMIT_S = 90


class Missing(Exception):
    """Why there is none."""


def call(*words, folder):
    try:
        done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Missing(f'{words[0]} took more than {LIMIT_S} s') from error
    if done.returncode != 0:
        last = done.stdout.decode(errors='replace').strip().splitlines()[-1:] or ['no word of why']
        raise Missing(f'{words[0]} failed: {last[0]}')


def fetch(folder):
    """The path of the program; Missing says why it cannot be had."""
    folder = pathlib.Path(folder).resolve()
    program = folder / 'bin/busybox'
    if program.exists():
        return program
    for tool in ('apt-get', 'dpkg-deb'):
        if not shutil.which(tool):
            raise Missing(f'{tool} is not there: busybox is fetched from Debian')
    for name in ('lists/partial', 'archives/partial'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / 'status').touch()
    options = {'APT::Architecture': 'arm64', 'APT::Architectures': 'arm64',
               'APT::Sandbox::User': 'root', 'Dir::State': folder, 'Dir::State::lists': 'lists',
               'Dir::State::status': folder / 'status', 'Dir::Cache': folder,
               'Acquire::http::Timeout': '20', 'Acquire::Retries': '1',
               'Acquire::Languages': 'none'}
    apt = ['apt-get', '-q']
    for name, value in options.items():
        apt += ['-o', f'{name}={value}']
    call(*apt, 'update', folder=folder)
    try:
        call(*apt, 'download', 'busybox-static', folder=folder)
    except Missing as reason:  # without a network the update only warns
        raise Missing(f'{reason} (can this machine reach Debian?)') from reason
    packages = sorted(folder.glob('busybox-static_*_arm64.deb'))
    if not packages:
        raise Missing('apt-get download brought nothing')
    call('dpkg-deb', '-x', packages[-1], folder, folder=folder)
    shutil.rmtree(folder / 'lists')
    if not program.exists():
        raise Missing(f'{packages[-1].name} has no bin/busybox')
    return program


# The applets that have a name of their own on the test's disk, where its shell looks for programs.
LINKS = """arch awk base64 basename bc bunzip2 bzcat bzip2 cat cmp cpio cut date dd diff
dirname echo egrep env expand expr factor false fgrep find fold grep gunzip gzip head
hexdump id ls md5sum nl od paste printf pwd realpath rev sed seq sh sha1sum sha256sum
sha512sum shuf sleep sort stat tac tail tar tee test timeout tr true uname uniq
usleep uudecode uuencode wc which xargs xxd xzcat yes zcat""".split()

# What is asked of them: words, and what is said. None: what the host's tool of the same words
# says. The files are those of the test's disk, below text/.
SAME = None
APPLETS = [
    # text
    ('cat text/license text/empty', SAME),
    ('head -n 3 text/readme', SAME),
    ('tail -n 4 text/readme', SAME),
    ('tac text/license', SAME),
    ('rev text/license', SAME),
    ('nl text/license', SAME),
    ('fold -w 30 text/license', SAME),
    ('expand -t 3 text/license', SAME),
    ('cut -c 5-20 text/license', SAME),
    ("cut -d ' ' -f 2 text/license", SAME),
    ('paste text/license text/license', SAME),
    ('sort text/lines', SAME),
    ('sort -r -u text/lines', SAME),
    ('uniq -c text/license', SAME),
    ('wc -l text/lines', SAME),
    ('wc -c text/bytes', SAME),
    ('grep -n the text/license', SAME),
    ("egrep -c '(the|and) ' text/license", ('grep', '-E', '-c', '(the|and) ', 'text/license')),
    ('fgrep -v the text/license', ('grep', '-F', '-v', 'the', 'text/license')),
    ("sed -n -e 's/the/THE/gp' text/license", SAME),
    ("awk '{ n += NF } END { print n, NR }' text/license", SAME),
    ('diff text/license text/license', SAME),
    ('cmp text/bytes text/bytes', SAME),
    ('od -A x -t x1 text/page', SAME),
    ('hexdump -C text/license', SAME),
    ('base64 text/page', SAME),
    # numbers and words
    ('echo a  b', SAME),
    ("printf '%05d %s\\n' 42 x", SAME),
    ('seq 1 20', SAME),
    ("expr 6 '*' 7", SAME),
    ('factor 1234567890', SAME),
    ('basename a/b/c', SAME),
    ('dirname a/b/c', SAME),
    ('date -u -d @86399', 'Thu Jan  1 23:59:59 UTC 1970\n'),
    ('true', ''),
    ('test 1 -lt 2', ''),
    # sums
    ('md5sum text/bytes', SAME),
    ('sha1sum text/bytes', SAME),
    ('sha256sum text/bytes', SAME),
    ('sha512sum text/bytes', SAME),
    # what others have packed
    ('zcat text/license.gz', ('cat', 'text/license')),
    ('bzcat text/license.bz2', ('cat', 'text/license')),
    ('xzcat text/license.xz', ('cat', 'text/license')),
    # the system
    ('uname -m', 'aarch64\n'),
    ('arch', 'aarch64\n'),
    ('which sh', '/bin/sh\n'),
    ('shuf -e one', 'one\n'),
    ('id -u', '0\n'),
    ('pwd', '/\n'),
    ('realpath text/../text/license', '/text/license\n'),
    ('stat -c %s text/bytes', SAME),
    ('ls text', SAME),
    ("sh -c 'find text -type f | sort'", SAME),
    ('usleep 1000', ''),
    ('env -i A=1 env', 'A=1\n'),
    ('timeout 5 echo in time', 'in time\n'),
    # the shell, and pipes between many
    ("sh -c 'i=0; while [ $i -lt 5 ]; do echo $i; i=$((i + 1)); done'", SAME),
    ("sh -c 'for name in text/*; do echo $name; done'", SAME),
    ("sh -c 'echo a b c | xargs -n 1 echo'", SAME),
    ("sh -c '(exit 3); echo $?; false || echo no; sleep 0.05 & wait; echo over'", SAME),
    ("sh -c 'trap \"echo trapped\" USR1; kill -USR1 $$; echo after'", SAME),
    ("sh -c 'echo $(echo inner $(echo most))'", SAME),
    ("sh -c 'sleep 9 & kill -9 $!; wait $!; echo $?'", 'Killed\n137\n'),
    ("sh -c 'cat text/lines | tr a-z A-Z | sort | uniq | md5sum'", SAME),
    ("sh -c 'dd if=text/bytes bs=1000 count=150 2>/dev/null | md5sum'", SAME),
    ("sh -c 'gzip -c text/lines | gunzip -c | md5sum'", SAME),
    ("sh -c 'bzip2 -c text/readme | bunzip2 -c | md5sum'",
     ('sh', '-c', 'md5sum < text/readme')),
    ("sh -c 'xxd -p text/bytes | xxd -p -r | md5sum'", ('sh', '-c', 'md5sum < text/bytes')),
    ("sh -c 'uuencode -m text/bytes x | uudecode -o - | md5sum'",
     ('sh', '-c', 'md5sum < text/bytes')),
    ("sh -c 'find text -type f | cpio -o -H newc 2>/dev/null | cpio -t 2>/dev/null | sort'",
     ('sh', '-c', 'find text -type f | sort')),
    ("sh -c 'tee /dev/null < text/bytes | md5sum'", ('sh', '-c', 'md5sum < text/bytes')),
    ("sh -c 'tar -cf - text | tar -tf - | sort'", SAME),
    ("sh -c 'yes | head -n 1000 | wc -l'", SAME),
    ("sh -c 'echo 2^100 | bc'", '1267650600228229401496703205376\n'),
    ("sh -c 'x=abc; echo ${x#a} ${#x}; case $x in a*) echo yes;; esac'", SAME),
    ('sh text/loop.sh 3', SAME),
]
