-- ARGV: names of chunks. Returns nothing. Only what is in the lane still is marked.
for _, name in ipairs(ARGV) do
  local id, index = string.match(name, '^([^.]+)%.(%d+)$')
  local batch = find(id)
  if batch then call('ZADD', ofPool(batch.pool, 'lane'), 'XX', now, laneMember(batch, index)) end
end
