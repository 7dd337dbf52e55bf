-- ARGV: 1 pool, 2 older than, in ms, 3 how many. Returns names of chunks, oldest first. Those that no batch wants any more
-- are taken out of the lane on the way.
local pool = ARGV[1]
local members = call('ZRANGE', ofPool(pool, 'lane'), '-inf', now - tonumber(ARGV[2]), 'BYSCORE', 'LIMIT', 0, ARGV[3])
local lost = {}
for _, member in ipairs(members) do
  local id, index, owner = string.match(member, '^([^.]+)%.(%d+)%.(.*)$')
  local batch = find(id)
  local chunk = batch and not isFinal[batch.status] and readChunk(id, index)
  if chunk and not chunk.result then
    table.insert(lost, id .. '.' .. index)
    -- The window may have grown since its owner left the line with it full.
    place(batch)
  else
    dropMember(pool, owner, member)
  end
end
return lost
