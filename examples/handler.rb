# A handler in one file, with Ruby's standard library alone: checks the signature, drops repeats, reads the event.
#
#     FEEDBACK_LOOP_SECRET=whsec_… ruby handler.rb 9000
#
# The loop's URL is then http://127.0.0.1:9000/. Put its verification file beside this script.

require "openssl"
require "socket"
require "uri"

KEY = ENV.fetch("FEEDBACK_LOOP_SECRET").delete_prefix("whsec_").unpack1("m")
# The same event may come twice, with the same id. Of a real handler: a table with a unique column, which outlives it.
SEEN = {}

# Standard Webhooks 1.0: HMAC-SHA256 over id, time and body; several signatures while a secret rotates.
def signature_is_good(headers, body)
  id, time = headers.fetch("webhook-id", ""), headers.fetch("webhook-timestamp", "")
  # An old POST may be one that somebody recorded and sends again.
  return false unless time.match?(/\A\d+\z/) && (Time.now.to_i - time.to_i).abs <= 300

  expected = "v1," + [OpenSSL::HMAC.digest("SHA256", KEY, "#{id}.#{time}.#{body}")].pack("m0")
  headers.fetch("webhook-signature", "").split.any? do |given|
    given.bytesize == expected.bytesize && OpenSSL.fixed_length_secure_compare(expected, given)
  end
end

# What to answer: a status and a text.
def handle(method, path, headers, body)
  name = path[/feedback-loops-[0-9a-f]+\.txt\z/]
  file = name && File.join(__dir__, name)
  return file && File.file?(file) ? [200, File.binread(file)] : [404, "not here"] if method == "GET"
  return [401, "the signature is not good"] unless signature_is_good(headers, body)

  # Lists have several values under one name: fields.select { |name, _| name == "tags[]" }.
  fields = URI.decode_www_form(body)
  event = fields.assoc("event").last
  unless SEEN[event]
    puts %w[timestamp type recipient].filter_map { |wanted| fields.assoc(wanted)&.last }.join(" ")
    SEEN[event] = true
  end
  [200, "thank you"]
end

$stdout.sync = true
server = TCPServer.new("127.0.0.1", Integer(ARGV.fetch(0)))
loop do
  Thread.new(server.accept) do |client|
    method, path, = client.gets.split
    headers = {}
    while (line = client.gets.chomp) != ""
      name, value = line.split(": ", 2)
      headers[name.downcase] = value
    end
    body = client.read(headers.fetch("content-length", "0").to_i)
    status, text = handle(method, path, headers, body)
    client.write("HTTP/1.1 #{status} Answer\r\nContent-Length: #{text.bytesize}\r\nConnection: close\r\n\r\n#{text}")
  ensure
    client.close
  end
end
