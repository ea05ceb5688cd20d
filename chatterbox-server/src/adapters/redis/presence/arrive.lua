-- KEYS: nodes, last seen of the user. ARGV: node, tenure. Answers whether the user appeared (0→1).
local before = redis.call('HGET', KEYS[1], ARGV[1])
local appeared = 0
if not before then
  if redis.call('HLEN', KEYS[1]) == 0 then appeared = 1 end
end
if not before or string.sub(before, 1, -3) ~= ARGV[2] then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':h')
end
redis.call('DEL', KEYS[2])
return appeared
