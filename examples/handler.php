<?php
// A handler in one file: checks the signature, drops repeats, and reads the event from $_POST or from JSON.
// Put it on your web server, next to the loop's verification file. Set the environment variable FEEDBACK_LOOP_SECRET to
// the loop's secret (whsec_…). To try it, run this in its folder:
//
//     FEEDBACK_LOOP_SECRET=whsec_… php -S 127.0.0.1:9000
//
// The loop's URL is then http://127.0.0.1:9000/handler.php.

function signature_is_good(string $key, string $body): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $time = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    // An old POST may be a replay of a recorded one.
    if (!ctype_digit($time) || abs(time() - (int) $time) > 300) {
        return false;
    }
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $signature) {
        if (hash_equals($expected, $signature)) {
            return true;
        }
    }
    return false;
}

$key = base64_decode(substr((string) getenv('FEEDBACK_LOOP_SECRET'), strlen('whsec_')), true);
$body = file_get_contents('php://input');
// Without a secret, anyone could sign.
if ($key === false || $key === '' || !signature_is_good($key, $body)) {
    http_response_code(401);
    exit('invalid signature');
}

// In both formats, lists and maps are arrays: $event['tags'][0], $event['fields']['name'].
$is_json = str_starts_with($_SERVER['CONTENT_TYPE'] ?? '', 'application/json');
$event = $is_json ? json_decode($body, true) : $_POST;
if (!is_array($event) || !is_string($event['event'] ?? null)) {
    http_response_code(400);
    exit('not an event');
}

// The same event may come twice, with the same id. A real handler keeps the ids in a table with a unique column, and
// writes it in the same transaction as its work. This example creates an empty file for each id.
$folder = sys_get_temp_dir() . '/feedback-loop-events';
if (!is_dir($folder)) {
    @mkdir($folder, 0700);
}
$seen = $folder . '/' . hash('sha256', $event['event']);
if (file_exists($seen)) {
    exit('already known');
}

// What happened to whom, and what to do about it. A real handler does it, or puts it into a queue.
$type = $event['type'] ?? '';
$who = $event['recipient'] ?? 'nobody';
$advice = '';
if (in_array($type, ['create', 'update', 'delete'], true)) {
    $who = sprintf('profile %s/%s', $event['database'] ?? '', $event['profile'] ?? '');
} elseif (in_array($type, ['abuse', 'unsubscribe'], true)) {
    $advice = ': send this person nothing more';
} elseif (in_array($type, ['bounce', 'failure'], true) && (string) ($event['permanent'] ?? '') === '1') {
    // Other permanent failures, such as a policy of the receiving server, are not the address's fault.
    if (in_array($event['category'] ?? '', ['address', 'domain'], true)) {
        $advice = ': this address does not work';
    }
}
error_log(sprintf('%s %s %s%s', $event['timestamp'] ?? '', $type, $who, $advice));

touch($seen);
echo 'thank you';
