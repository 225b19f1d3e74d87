<?php
// A handler in one file: checks the signature, drops repeats, and reads the event from $_POST.
// Put it on your web server, with the loop's secret (whsec_…) in the environment variable FEEDBACK_LOOP_SECRET, and the
// loop's verification file beside it. To try it, in its folder:
//
//     FEEDBACK_LOOP_SECRET=whsec_… php -S 127.0.0.1:9000
//
// The loop's URL is then http://127.0.0.1:9000/handler.php.

function signature_is_good(string $secret, string $body): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $time = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    // An old POST may be one that somebody recorded and sends again.
    if (!ctype_digit($time) || abs(time() - (int) $time) > 300) {
        return false;
    }
    $key = base64_decode(substr($secret, strlen('whsec_')), true);
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $signature) {
        if (hash_equals($expected, $signature)) {
            return true;
        }
    }
    return false;
}

$secret = getenv('FEEDBACK_LOOP_SECRET');
if ($secret === false || !signature_is_good($secret, file_get_contents('php://input'))) {
    http_response_code(401);
    exit('the signature is not good');
}

// The same event may come twice; its id is the same on every attempt. A real handler keeps the ids in a table with a
// unique column, written in one transaction with the work; here an empty file for each has to do.
$folder = sys_get_temp_dir() . '/feedback-loop-events';
if (!is_dir($folder)) {
    @mkdir($folder, 0700);
}
$seen = $folder . '/' . basename($_POST['event']);
if (file_exists($seen)) {
    exit('known already');
}

// Lists and maps are arrays: $_POST['tags'][0], $_POST['fields']['name'].
error_log(sprintf('%s: %s by %s', $_POST['timestamp'], $_POST['type'], $_POST['recipient'] ?? 'nobody'));

touch($seen);
echo 'thank you';
