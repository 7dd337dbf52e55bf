-- ARGV: ids. Returns nothing.
for _, id in ipairs(ARGV) do dropLetter(id) end
