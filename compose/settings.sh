# Sourced by the scripts beside it, at the root of the checkout: what the environment or .env says.

# _said NAME: sets `value` to that of a variable, and fails where there is none. A line of .env is
# read as Compose and the client read it: quotes, and a comment behind the value, are no part of it.
_said() {
    eval "value=\${$1:-}"
    if [ -z "$value" ] && [ -r .env ]; then
        value=$(sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$1[[:space:]]*=[[:space:]]*//p" .env |
            tail -n 1 | sed -e "s/^'\([^']*\)'.*/\1/" -e t -e 's/^"\([^"]*\)".*/\1/' -e t \
            -e 's/[[:space:]]#.*//' -e 's/[[:space:]]*$//')
    fi
    [ -n "$value" ]
}
