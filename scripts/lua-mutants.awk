# Breaks a Lua file in one place. Prints the file as its mutant number `wanted`; with wanted=0 a line about each mutant instead:
# its number, the line, and the code with what is changed in brackets, such as `if [a < b -> a <= b] then`.
#
#   awk -v wanted=0 -f scripts/lua-mutants.awk src/store/redis/lua/change.lua
#
# A mutant lacks a line, or has another comparison, `and` for `or`, no `not`, a condition turned round, a number that is one
# larger, another sign, or floor for ceil and min for max.

BEGIN {
  swap("==", "~="); swap("<", "<="); swap(">", ">=")
  swap("+", "-"); swap("*", "/"); swap("and", "or")
  swap("math.floor", "math.ceil"); swap("math.min", "math.max")
  swaps["not"] = ""
}

function swap(one, other) {
  swaps[one] = other
  swaps[other] = one
}

{ lines[NR] = $0 }

END {
  for (line = 1; line <= NR; line++) {
    code = without_comment(lines[line])
    if (code ~ /^[ \t]*$/) continue
    replace(1, code, "")
    negate_condition()
    change_tokens()
  }
  if (wanted > 0) for (line = 1; line <= NR; line++) print (line == changed_line ? changed_text : lines[line])
}

# Everything before a comment that is not inside a string.
function without_comment(text,    i, c, quoted) {
  for (i = 1; i <= length(text); i++) {
    c = substr(text, i, 1)
    if (c == "'") quoted = !quoted
    if (!quoted && substr(text, i, 2) == "--") return substr(text, 1, i - 1)
  }
  return text
}

# Where the whole condition is one comparison or one `not`, another mutant does the same.
function negate_condition(    start, end, condition) {
  if (!match(code, /(^|[ \t])(else)?if /)) return
  start = RSTART + RLENGTH
  end = index(code, " then")
  if (end == 0) return
  condition = substr(code, start, end - start)
  if (condition !~ / (and|or) / && condition ~ /==|~=|^not /) return
  replace(start, condition, "not (" condition ")")
}

function change_tokens(    i, c, token, quoted) {
  for (i = 1; i <= length(code); i += length(token)) {
    token = c = substr(code, i, 1)
    if (c == "'") quoted = !quoted
    if (quoted) continue
    if (match(substr(code, i), /^[A-Za-z_][A-Za-z_0-9.]*/)) token = substr(code, i, RLENGTH)
    else if (match(substr(code, i), /^[0-9][0-9.]*/)) token = substr(code, i, RLENGTH)
    else if (substr(code, i, 2) in swaps) token = substr(code, i, 2)
    else if (substr(code, i, 2) == "..") token = ".."

    # another argument than the one that is meant breaks everything
    if (token ~ /^[0-9]/ && substr(code, 1, i - 1) !~ /(argv|ARGV|KEYS)\[$/) replace(i, token, larger(token))
    else if (token in swaps) replace(i, token, swaps[token])
  }
}

function larger(number) {
  return number ~ /\./ ? "1" number : sprintf("%.0f", number + 1)
}

# One more mutant: at this place of the line there is something else.
function replace(place, was, becomes,    before, after) {
  count++
  before = substr(code, 1, place - 1)
  after = substr(code, place + length(was))
  if (wanted == 0) print count "\t" line "\t" trimmed_start(before) "[" trimmed_start(trimmed_end(was)) " -> " becomes "]" trimmed_end(after)
  if (count == wanted) {
    changed_line = line
    changed_text = before becomes after
  }
}

function trimmed_start(text) {
  sub(/^[ \t]+/, "", text)
  return text
}

function trimmed_end(text) {
  sub(/[ \t]+$/, "", text)
  return text
}
