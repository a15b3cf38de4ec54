"""LibreOffice without a screen: opens a CSV as a person's would, and saves it."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: What one opening and saving may take, the making of a profile included, in seconds.
WITHIN: Final = 120

#: Languages by the number that LibreOffice's filters have for them.
LANGUAGES: Final = {"en-US": 1033, "de-DE": 1031, "fr-FR": 1036, "pl-PL": 1045, "ja-JP": 1041}

#: Encodings likewise.
ENCODINGS: Final = {"utf-8": 76, "windows-1252": 1}


@dataclass(frozen=True)
class Office:
    """An installed LibreOffice with a profile of its own: two that share one do not run beside each other."""

    program: str
    profile: Path

    def saved(
        self,
        path: Path,
        into: Path,
        *,
        delimiter: str = ",",
        language: str = "en-US",
        special: bool = True,
        workbook: bool = False,
        saves: str = ",",
        encoding: str = "utf-8",
        texts: int = 0,
    ) -> Path:
        """Open a CSV, perhaps save it as a workbook and open that, and save it as a CSV again.

        `special` is "Detect special numbers": dates, amounts and the like. `saves` is the delimiter that is saved. Of
        so many columns as `texts` every cell is opened as text.
        """
        columns = "/".join(f"{column}/2" for column in range(1, texts + 1))
        habits = f"{LANGUAGES[language]},false,{str(special).lower()},false,false,false"
        read = f"CSV:{ord(delimiter)},34,76,1,{columns},{habits}"
        if workbook:
            path, read = self._convert(path, into, "xlsx", read), "Calc MS Excel 2007 XML"
        text = f"{ord(saves)},34,{ENCODINGS[encoding]},1,,0,false,true,true,false,false"
        return self._convert(path, into, f"csv:Text - txt - csv (StarCalc):{text}", read)

    def _convert(self, path: Path, into: Path, to: str, read: str) -> Path:
        made = into / f"{path.stem}.{to.partition(':')[0]}"
        assert path != made
        made.unlink(missing_ok=True)
        command = [self.program, f"-env:UserInstallation={self.profile.as_uri()}", "--headless", "--norestore"]
        command += ["--convert-to", to, f"--infilter={read}", "--outdir", str(into), str(path)]
        # The program is a script that starts others: they are one group, and end together.
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        ) as running:
            try:
                said, _ = running.communicate(timeout=WITHIN)
            except BaseException:
                os.killpg(running.pid, signal.SIGKILL)
                raise
        assert running.returncode == 0, said
        assert made.exists(), said
        return made
