#!/usr/bin/env bash
# A mail server that takes everything and keeps it as a maildir, where tests read it (SMTP_MAILDIR).
source "$(dirname "$0")/lib.sh"
port=${SMTP_PORT:-2590}
# Debian's own Python, whichever other stands first in the path.
python=/usr/bin/python3

answers() { listens "$port"; }

case ${1:-} in
up)
    if ! "$python" -c 'import aiosmtpd' 2>/dev/null; then need aiosmtpd python3-aiosmtpd; fi
    if to_start smtp; then
        free "$port" SMTP_PORT smtp
        mkdir -p "$state"
        begin smtp "$python" -m aiosmtpd --nosetuid --listen "127.0.0.1:$port" \
            --class aiosmtpd.handlers.Mailbox "$state/mail"
    fi
    await smtp 20 answers
    ;;
down) end smtp ;;
env)
    echo "export SMTP_URL=smtp://127.0.0.1:$port"
    echo "export SMTP_MAILDIR=$state/mail"
    ;;
*) fail "usage: $0 up|down|env" ;;
esac
