-- ARGV: 1 pool, 2 window of an owner for each worker that lives, 3 index of workers (its heartbeats keep it short; those
-- of other pools count too, which only widens the window). Returns names of chunks, `<batch>.<index>`, at most claimedMax.
-- Owners take turns, and so do the batches of an owner. Each step takes a chunk or takes something out of a line, so a
-- step costs the same however many batches and chunks there are.
local pool = ARGV[1]
local window = tonumber(ARGV[2]) * math.max(1, call('ZCARD', ARGV[3]))
local ready, counts = ofPool(pool, 'ready'), ofPool(pool, 'counts')
local taken = {}

local function takeFrom(owner)
  local own = readyOf(pool, owner)
  local id = call('ZRANGE', own, 0, 0)[1]
  local batch = id and find(id)
  local next = batch and not batch.paused and not isFinal[batch.status] and call('ZPOPMIN', ofBatch(id, 'waiting'))[1]
  if next then
    enterLane(batch, next)
    table.insert(taken, id .. '.' .. next)
  end
  if next and call('EXISTS', ofBatch(id, 'waiting')) == 1 then call('ZADD', own, nextTurn(pool), id)
  elseif id then call('ZREM', own, id) end
  return next
end

for _ = 1, 2 * claimedMax do
  local owner = call('ZRANGE', ready, 0, 0)[1]
  if not owner or #taken == claimedMax then break end
  local used = tonumber(call('HGET', counts, owner) or 0)
  if used < window and takeFrom(owner) then used = used + 1 end
  -- With its window full it comes back into the line when a chunk of it is through.
  if used < window and call('EXISTS', readyOf(pool, owner)) == 1 then call('ZADD', ready, nextTurn(pool), owner)
  else call('ZREM', ready, owner) end
end
return taken
