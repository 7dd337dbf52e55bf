-- ARGV: 1 `next` of the page before, or '', 2 how many. Returns `next` ('' at the end) and letters as JSON, newest first.
dropExpiredLetters()
local limit = tonumber(ARGV[2])
local max = ARGV[1] == '' and '+inf' or '(' .. ARGV[1]
local found = call('ZREVRANGEBYSCORE', root .. ':letters', max, '-inf', 'WITHSCORES', 'LIMIT', 0, limit + 1)
local letters = {}
for at = 1, math.min(#found, 2 * limit), 2 do
  local letter = call('HGET', root .. ':letter:' .. found[at], 'letter')
  if letter then table.insert(letters, letter) end
end
return { #found > 2 * limit and limit > 0 and found[2 * limit] or '', letters }
