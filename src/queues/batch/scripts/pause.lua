-- ARGV: 1 id, 2 `1` to pause, `0` to resume. Returns `gone`, `final` or the record.
-- Chunks that are in the lane by then are let go when a worker begins them.
local batch = find(ARGV[1])
if not batch then return 'gone' end
if isFinal[batch.status] then return 'final' end
local paused = ARGV[2] == '1'
if batch.paused ~= paused then
  batch.paused = paused
  call('HSET', batch.key, 'paused', ARGV[2])
  place(batch)
  workedOn(batch)
  changed(batch)
end
return call('HGETALL', batch.key)
