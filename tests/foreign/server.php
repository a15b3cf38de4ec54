<?php
// An ONC service on PHP's SoapServer: `php -S 127.0.0.1:0 server.php`. GET /dump is what it holds.
// FOREIGN_OPTIONS (JSON): wsdl, campaign, directory for its state, expire: calls a session lives for, refuse: a pattern,
// list: the member that holds a list's items, none where the list is an array, soap12.
declare(strict_types=0);
ini_set("soap.wsdl_cache_enabled", "0");

const CHANNELS = ["SMSCommInfo", "VoiceCommInfo", "EmailCommInfo"];
const FRESH = ["held" => [], "open" => [], "counts" => ["opened" => 0, "closed" => 0, "expired" => 0, "requests" => 0]];

final class Service
{
    public function __construct(private array $options, private array &$state) {}

    public function __call(string $name, array $given): mixed
    {
        $wrapped = count($given) === 1 && $given[0] instanceof stdClass;
        $values = $wrapped ? array_values(self::inOrder($name, $given[0])) : $given;
        $this->state["counts"]["requests"]++;
        $result = $this->{"on$name"}(...$values);
        return $wrapped ? [$name . "Result" => $result] : $result;
    }

    private static function inOrder(string $name, stdClass $given): array
    {
        $method = new ReflectionMethod(self::class, "on$name");
        return array_map(fn($parameter) => $given->{$parameter->getName()}, $method->getParameters());
    }

    private function alive(string $session): bool
    {
        if (!isset($this->state["open"][$session])) {
            return false;
        }
        if ($this->options["expire"] && $this->state["open"][$session] >= $this->options["expire"]) {
            unset($this->state["open"][$session]);
            $this->state["counts"]["expired"]++;
            return false;
        }
        $this->state["open"][$session]++;
        return true;
    }

    private function ours(string $session, string $campaign): bool
    {
        return $this->alive($session) && strtolower($campaign) === $this->options["campaign"];
    }

    private function listed(array $items): mixed
    {
        return $this->options["list"] ? [$this->options["list"] => $items] : $items;
    }

    private function onOpenAPISession(string $accountId, string $username, string $password): array
    {
        if ([$accountId, $username, $password] !== ["acme", "ann", "p&<ss>"]) {
            return ["ErrorCode" => 1, "Description" => "no such user", "SessionId" => ""];
        }
        $session = "s " . (++$this->state["counts"]["opened"]) . "<&>";
        $this->state["open"][$session] = 0;
        return ["ErrorCode" => 0, "Description" => "", "SessionId" => $session];
    }

    private function onCloseAPISession(string $sessionId): array
    {
        $known = isset($this->state["open"][$sessionId]);
        unset($this->state["open"][$sessionId]);
        $this->state["counts"]["closed"] += (int) $known;
        return ["ErrorCode" => $known ? 0 : 3, "Description" => "", "SessionId" => ""];
    }

    private function onGetCampaignListing(string $sessionId): mixed
    {
        return $this->alive($sessionId) ? $this->listed([$this->options["campaign"]]) : null;
    }

    private function onGetCampaign(string $sessionId, string $campaignId): mixed
    {
        return $this->ours($sessionId, $campaignId) ? ["ID" => $campaignId, "ShortName" => "Herbst"] : null;
    }

    private function onGetCampaignContactsListing(string $sessionId, string $campaignId): mixed
    {
        return $this->ours($sessionId, $campaignId) ? $this->listed(array_column($this->state["held"], "Id")) : null;
    }

    private function onGetCampaignContacts(string $sessionId, string $campaignId): mixed
    {
        return $this->ours($sessionId, $campaignId) ? $this->listed($this->state["held"]) : null;
    }

    private function onAddCampaignContact(string $sessionId, stdClass $contact): int
    {
        if (!$this->alive($sessionId)) {
            return 3;
        }
        if ($contact->CampaignId !== $this->options["campaign"]) {
            return 5;
        }
        $kept = json_decode(json_encode($contact), true);
        foreach (CHANNELS as $name) {
            if (!isset($kept[$name])) {
                continue;
            }
            if ($this->options["refuse"] && preg_match("~{$this->options['refuse']}~", $kept[$name]["Destination"])) {
                return 9;
            }
            $kept[$name]["StatusCode"] = (int) ($kept[$name]["Destination"] !== "");
            $kept[$name]["LastDeliveryErrorCode"] = 0;
        }
        $this->state["held"][] = $kept;
        return 0;
    }

    private function onDeleteCampaignContact(string $sessionId, string $campaignId, string $contactId): int
    {
        if (!$this->ours($sessionId, $campaignId)) {
            return 3;
        }
        $left = array_values(array_filter($this->state["held"], fn($one) => $one["Id"] !== $contactId));
        $found = count($left) < count($this->state["held"]);
        $this->state["held"] = $left;
        return $found ? 0 : 6;
    }
}

$options = json_decode(getenv("FOREIGN_OPTIONS"), true);
$file = fopen($options["directory"] . "/state.json", "c+");
flock($file, LOCK_EX);
$state = json_decode(stream_get_contents($file) ?: "null", true) ?? FRESH;
if ($_SERVER["REQUEST_URI"] === "/dump") {
    header("Content-Type: application/json");
    echo json_encode(["open" => count($state["open"])] + $state);
    return;
}
$server = new SoapServer($options["wsdl"], ["soap_version" => $options["soap12"] ? SOAP_1_2 : SOAP_1_1]);
$server->setObject(new Service($options, $state));
$server->handle();
ftruncate($file, 0);
rewind($file);
fwrite($file, json_encode($state));
