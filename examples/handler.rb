# A handler in one file: checks the signature, drops repeats, reads the event. It only needs Ruby and WEBrick
# (`gem install webrick`; included in Debian's ruby).
#
#     FEEDBACK_LOOP_SECRET=whsec_… ruby handler.rb 9000
#
# The loop's URL is then http://127.0.0.1:9000/. Put its verification file next to this script.

require 'base64'
require 'json'
require 'openssl'
require 'uri'
require 'webrick'

KEY = Base64.strict_decode64(ENV.fetch('FEEDBACK_LOOP_SECRET').delete_prefix('whsec_'))
abort "FEEDBACK_LOOP_SECRET must be the loop's secret, whsec_…" if KEY.empty?
# The same event may come twice, with the same id. A real handler uses a table with a unique column.
SEEN = {}
LOCK = Mutex.new

# Standard Webhooks 1.0: HMAC-SHA256 over id, time and body. After a rotation, there are several signatures.
def signature_is_good?(request, body)
  id, time, given = %w[webhook-id webhook-timestamp webhook-signature].map { |name| request[name].to_s.b }
  # An old POST may be a replay of a recorded one.
  return false unless time.match?(/\A\d+\z/) && (Time.now.to_i - time.to_i).abs <= 300

  expected = "v1,#{Base64.strict_encode64(OpenSSL::HMAC.digest('SHA256', KEY, "#{id}.#{time}.#{body}"))}"
  given.split.any? { |signature| OpenSSL.secure_compare(expected, signature) }
end

# Returns the event's fields, or nil if the body is not an event.
# In both formats, event['tags'] is ['spring', 'newsletter'].
def read_event(content_type, body)
  event = if content_type.start_with?('application/json')
            JSON.parse(body.dup.force_encoding('UTF-8'))
          else
            pairs = URI.decode_www_form(body).group_by(&:first).transform_values { |all| all.map(&:last) }
            pairs.to_h { |name, all| name.end_with?('[]') ? [name.delete_suffix('[]'), all] : [name, all.first] }
          end
  event if event.is_a?(Hash) && event['event'].is_a?(String)
rescue JSON::ParserError, ArgumentError
  nil
end

# What happened to whom, and what to do about it. A real handler does it, or puts it into a queue.
def summary(event)
  who = event.fetch('recipient', 'nobody')
  advice = ''
  case event['type']
  when 'create', 'update', 'delete'
    who = "profile #{event['database']}/#{event['profile']}"
  when 'abuse', 'unsubscribe'
    advice = ': send this person nothing more'
  when 'bounce', 'failure'
    # Other permanent failures, such as a policy of the receiving server, are not the address's fault.
    is_gone = event['permanent'].to_s == '1' && %w[address domain].include?(event['category'])
    advice = ': this address does not work' if is_gone
  end
  "#{event['timestamp']} #{event['type']} #{who}#{advice}"
end

# Several threads answer requests, so this takes a lock. A real handler uses a transaction.
def take(event)
  LOCK.synchronize do
    next if SEEN.key?(event['event'])

    puts summary(event)
    SEEN[event['event']] = true
  end
end

class Handler < WEBrick::HTTPServlet::AbstractServlet
  # Serves the verification file, which verification requests, and no other file in the folder.
  def do_GET(request, response)
    name = File.basename(request.path)
    file = File.join(__dir__, name)
    found = name.match?(/\Afeedback-loops-[0-9a-f]+\.txt\z/) && File.file?(file)
    response.status = found ? 200 : 404
    response.body = found ? File.binread(file) : 'not found'
  end

  def do_POST(request, response)
    body = request.body.to_s
    response.status, response.body =
      if !signature_is_good?(request, body)
        [401, 'invalid signature']
      elsif (event = read_event(request['content-type'].to_s, body))
        take(event)
        [200, 'thank you']
      else
        [400, 'not an event']
      end
  end
end

$stdout.sync = true
server = WEBrick::HTTPServer.new(BindAddress: '127.0.0.1', Port: ARGV.fetch(0).to_i, AccessLog: [])
server.mount('/', Handler)
trap('INT') { server.shutdown }
server.start
